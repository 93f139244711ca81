package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"uaol/migrations"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth"
)

func newAdmin() *cobra.Command {
	command := &cobra.Command{Use: "admin", Short: "Make platform admins, and links that sign in to the console"}
	var email string
	var asJSON bool
	create := &cobra.Command{
		Use:   "create --email ADDRESS",
		Short: "Make an account an admin and print a new API key for it, once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" {
				return errors.New("say whose: --email ADDRESS")
			}
			key, err := createAdmin(cmd, email)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"email": email, "apiKey": key})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is an admin. Its new API key, shown only now:\n%s\n", email, key)
			return err
		},
	}
	create.Flags().StringVar(&email, "email", "", "the admin's e-mail address")
	create.Flags().BoolVar(&asJSON, "json", false, "for machines")
	command.AddCommand(create, newAdminLink())
	return command
}

func newAdminLink() *cobra.Command {
	var email string
	var asJSON bool
	command := &cobra.Command{
		Use:   "link --email ADDRESS",
		Short: "Print a link by which whoever has it signs in to the console as an account, once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" {
				return errors.New("say whose: --email ADDRESS")
			}
			base, err := consoleBase(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			var link auth.SignInLink
			if err := withAuthTables(cmd.Context(), func(pool *pgxpool.Pool) (err error) {
				link, err = auth.LinkFor(cmd.Context(), auth.NewRepository(pool), email)
				return err
			}); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"email": email, "url": link.URL(base), "expiresAt": link.ExpiresAt})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), invitation(link.URL(base), email))
			return err
		},
	}
	command.Flags().StringVar(&email, "email", "", "the account's e-mail address")
	command.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return command
}

func createAdmin(cmd *cobra.Command, email string) (key string, err error) {
	err = withAuthTables(cmd.Context(), func(pool *pgxpool.Pool) error {
		key, err = auth.EnsureAdmin(cmd.Context(), auth.NewRepository(pool), email, "")
		return err
	})
	return key, err
}

// withAuthTables runs f on a pool of the database, once auth's tables are up to
// date: in development it sees to that itself.
func withAuthTables(ctx context.Context, f func(*pgxpool.Pool) error) (err error) {
	return withTables(ctx, services.Auth, f)
}

// withTables runs f on the database, with a service's tables in it.
func withTables(ctx context.Context, service services.Name, f func(*pgxpool.Pool) error) (err error) {
	url, cfg, release, err := database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	pool, err := tables(ctx, url, cfg, service)
	if err != nil {
		return err
	}
	defer pool.Close()
	return f(pool)
}

// tables opens a pool of a database whose tables of a service are up to date.
func tables(ctx context.Context, url string, cfg postgres.Config, service services.Name) (*pgxpool.Pool, error) {
	pool, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	states, err := migrations.Status(ctx, pool, service)
	switch {
	case err != nil:
		err = errors.New("DATABASE_URL: " + postgres.Cause(err))
	case migrations.Behind(states) == "":
	case cfg.Production():
		err = fmt.Errorf("%s's tables are not there yet; run `uaol migrate up`", service)
	default:
		err = migrations.Up(ctx, url)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
