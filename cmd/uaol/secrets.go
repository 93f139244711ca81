package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing/ledger"
	"uaol/services/registry/credentials"
	"uaol/services/storage"
)

// rotated counts what was sealed anew.
type rotated struct {
	auth.Rotated
	ToolSecrets int `json:"toolSecrets"`
	ToolTokens  int `json:"toolTokens"`
	Files       int `json:"files"`
	// LedgerPrevious is what UAOL_LEDGER_SECRET_PREVIOUS is to hold from now on.
	LedgerPrevious string `json:"ledgerPrevious,omitempty"`
}

func rotateAll(ctx context.Context, pool *pgxpool.Pool, ring *keyring.Ring) (all rotated, err error) {
	if all.Rotated, err = auth.RotateSecrets(ctx, pool, ring); err != nil {
		return all, err
	}
	if err := tablesOf(ctx, pool, services.Registry, services.Storage); err != nil {
		return all, err
	}
	ofTools, err := credentials.Rotate(ctx, pool, ring)
	if err != nil {
		return all, err
	}
	all.ToolSecrets, all.ToolTokens = ofTools.Secrets, ofTools.Grants
	all.Files, err = storage.RotateSecrets(ctx, storage.NewRepository(pool), ring)
	return all, err
}

// tablesOf refuses a database that services have not been migrated in.
func tablesOf(ctx context.Context, pool *pgxpool.Pool, names ...services.Name) error {
	for _, name := range names {
		states, err := migrations.Status(ctx, pool, name)
		switch {
		case err != nil:
			return errors.New("DATABASE_URL: " + postgres.Cause(err))
		case migrations.Behind(states) != "":
			return fmt.Errorf("%s's tables are not there yet; run `uaol migrate up`", name)
		}
	}
	return nil
}

func newSecrets() *cobra.Command {
	command := &cobra.Command{Use: "secrets", Short: "Change the secret that stored credentials are encrypted with"}
	var asJSON bool
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Encrypt everything anew that ENCRYPTION_SECRET_PREVIOUS encrypted",
		Long: `Encrypt everything anew that an older secret encrypted.

Move ENCRYPTION_SECRET's value to ENCRYPTION_SECRET_PREVIOUS, set a new
ENCRYPTION_SECRET, restart the services that have it, and run this. When it is done,
ENCRYPTION_SECRET_PREVIOUS can go. It may be cut short and run again.

Seals over the books and receipts are signed with a key made of that secret, unless
UAOL_LEDGER_SECRET is set. For those of before to go on counting, set
UAOL_LEDGER_SECRET_PREVIOUS to the public key that this prints.

Secrets of callbacks (GET /jobs/callback-secret) change with it; until
ENCRYPTION_SECRET_PREVIOUS goes, callbacks are signed with both.`,
		Example: `  ENCRYPTION_SECRET=new… ENCRYPTION_SECRET_PREVIOUS=old… uaol secrets rotate`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := config.Read()
			if err != nil {
				return err
			}
			cfg, err := config.Parse[keyring.Config](env)
			if err != nil {
				return err
			}
			ring, err := keyring.New(cfg, zap.NewNop())
			if err != nil {
				return err
			}
			var all rotated
			if err := withAuthTables(cmd.Context(), func(pool *pgxpool.Pool) (err error) {
				all, err = rotateAll(cmd.Context(), pool, ring)
				return err
			}); err != nil {
				return err
			}
			books, err := config.Parse[ledger.Config](env)
			if err != nil {
				return err
			}
			if all.LedgerPrevious, err = ledger.Retired(books, ring); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Encrypted anew: %d provider keys, %d sign-in providers' tokens, %d tools' secrets, %d tools' tokens, %d files' keys.\n",
				all.ProviderKeys, all.Identities, all.ToolSecrets, all.ToolTokens, all.Files)
			if err == nil && all.LedgerPrevious != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Seals and receipts of before go on counting with this in UAOL_LEDGER_SECRET_PREVIOUS: %s\n", all.LedgerPrevious)
			}
			return err
		},
	}
	rotate.Flags().BoolVar(&asJSON, "json", false, "for machines")
	command.AddCommand(rotate)
	return command
}
