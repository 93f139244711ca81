// Command uaol runs UAOL and the tools around it; see `uaol --help`.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/services/storage/documents"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main for tests: it answers the exit code.
func run(args []string) int {
	if documents.IsWork(args) {
		return documents.Work(args, os.Stdin, os.Stdout)
	}
	root := newRoot()
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "uaol:", app.Explain(err))
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	serve := newServe()
	root := &cobra.Command{
		Use:   "uaol",
		Short: "Your own AI orchestration layer: MCP tools, workflows, credits",
		Long: `UAOL gives a team an AI orchestration layer of its own. People register MCP
tools and price them in credits, chain them into durable workflows, and every
call is authenticated, limited, charged exactly once and recorded.

Without a command it serves everything, like "uaol serve".`,
		Example: `  uaol demo                 see the main job done, from an empty machine
  uaol prove                see that nothing is lost or done twice when processes are killed
  uaol connect URL          connect an MCP server of one's own
  uaol mcp                  be one MCP server with all of them, for a desktop client
  uaol                      serve everything on :3000
  uaol serve auth jobs      serve just these services
  uaol config               every setting, where it comes from and what it is for`,
		Version:       app.Version,
		Args:          cobra.NoArgs,
		RunE:          serve.RunE,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Flags().AddFlagSet(serve.Flags())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serve, newConnect(), newMCP(), newTools(), newJobs(), newEvents(), newMigrate(), newAdmin(), newImport(), newSecrets(), newLedger(), newReceipt(), newBilling(), newDemo(), newProve(), newDoctor(), newConfig(), newGraph(), newHealthcheck(), newVersion(), newBackup(), newRestore())
	return root
}
