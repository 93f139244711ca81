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
	"uaol/services/registry/credentials"
	"uaol/services/storage"
)

// rotated counts what was sealed anew.
type rotated struct {
	auth.Rotated
	ToolSecrets int `json:"toolSecrets"`
	ToolTokens  int `json:"toolTokens"`
	Files       int `json:"files"`
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
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Encrypted anew: %d provider keys, %d sign-in providers' tokens, %d tools' secrets, %d tools' tokens, %d files' keys.\n",
				all.ProviderKeys, all.Identities, all.ToolSecrets, all.ToolTokens, all.Files)
			return err
		},
	}
	rotate.Flags().BoolVar(&asJSON, "json", false, "for machines")
	command.AddCommand(rotate)
	return command
}
