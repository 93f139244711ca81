package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"uaol/providers/config"
	"uaol/services"
	"uaol/services/billing/payments"
)

var errDifferences = errors.New("our books and Stripe's differ")

func newBilling() *cobra.Command {
	command := &cobra.Command{Use: "billing", Short: "Look after payments"}
	var days int
	var asJSON bool
	reconcile := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare payments and subscriptions with what Stripe says",
		Long: `Compare our payments and subscriptions with what Stripe says of them, and report
what differs. It changes nothing. An event that never arrived can be sent again
from Stripe's dashboard, as often as one likes: each payment counts once.

It ends with 1 when something differs.`,
		Example: `  uaol billing reconcile --days 7`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 1 || days > 3650 {
				return fmt.Errorf("--days: %d is not a number from 1 to 3650", days)
			}
			env, err := config.Read()
			if err != nil {
				return err
			}
			cfg, err := config.Parse[payments.Config](env)
			if err != nil {
				return err
			}
			if cfg.SecretKey == "" {
				return errors.New("STRIPE_SECRET_KEY is not set: there is nothing to compare with")
			}
			return withTables(cmd.Context(), services.Billing, func(pool *pgxpool.Pool) error {
				service := payments.New(cfg, payments.Pages{}, pool, nil)
				defer service.Close()
				report, err := service.Reconcile(cmd.Context(), time.Now().AddDate(0, 0, -days))
				if err != nil {
					return err
				}
				if asJSON {
					err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
				} else {
					_, err = io.WriteString(cmd.OutOrStdout(), report.String())
				}
				if err == nil && len(report.Findings) > 0 {
					err = errDifferences
				}
				return err
			})
		},
	}
	reconcile.Flags().IntVar(&days, "days", 30, "how many days to look back")
	reconcile.Flags().BoolVar(&asJSON, "json", false, "the report as JSON")
	command.AddCommand(reconcile)
	return command
}
