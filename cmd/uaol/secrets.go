package main

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/services/auth"
)

func newSecrets() *cobra.Command {
	command := &cobra.Command{Use: "secrets", Short: "Change the secret that stored credentials are encrypted with"}
	var asJSON bool
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Encrypt everything anew that ENCRYPTION_SECRET_PREVIOUS encrypted",
		Long: `Encrypt everything anew that an older secret encrypted.

Move ENCRYPTION_SECRET's value to ENCRYPTION_SECRET_PREVIOUS, set a new
ENCRYPTION_SECRET, restart the auth service, and run this. When it is done,
ENCRYPTION_SECRET_PREVIOUS can go. It may be cut short and run again.`,
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
			var rotated auth.Rotated
			if err := withAuthTables(cmd.Context(), func(pool *pgxpool.Pool) error {
				rotated, err = auth.RotateSecrets(cmd.Context(), pool, ring)
				return err
			}); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rotated)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Encrypted anew: %d provider keys, %d sign-in providers' tokens.\n", rotated.ProviderKeys, rotated.Identities)
			return err
		},
	}
	rotate.Flags().BoolVar(&asJSON, "json", false, "for machines")
	command.AddCommand(rotate)
	return command
}
