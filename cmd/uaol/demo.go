package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"uaol/app/demo"
	"uaol/providers/config"
)

func newDemo() *cobra.Command {
	var keep, verbose bool
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on an empty machine, and check that it was done",
		Long: `Starts everything in one process with a private PostgreSQL, in a temporary
directory and on a free port, and a small MCP server beside it. Then somebody
registers, registers that server as a tool, an admin approves it, and a
workflow of five steps runs on it and is paid for.

Exits 0 only if all of it was true. With --keep the server stays up on the
usual port, with the usual data directory, and prints what to try next.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := config.Read()
			if err != nil {
				return err
			}
			level := "warn"
			if verbose {
				level = "info"
			}
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			return demo.Run(ctx, env, demo.Options{Keep: keep, Out: cmd.OutOrStdout(), Log: level})
		},
	}
	command.Flags().BoolVar(&keep, "keep", false, "leave the server up and say what to try next")
	command.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the server's log too")
	return command
}
