package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"uaol/app"
)

func newVersion() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "version",
		Short: "Show what this binary is: its version, its commit, and what it speaks",
		Long: `Show the version, the commit that it was built from and when that was made, the
toolchain, the versions of the services' tables that it brings, and the protocols
that it speaks. A build of a release is the same, byte by byte, wherever it is made;
"make release-check" shows it. docs/compatibility.md says what stays as it is from
one version to the next.`,
		Example: `  uaol version
  uaol version --json | jq .migrations`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a := app.Describe()
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(a)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			row := func(name, value string) {
				if value != "" {
					fmt.Fprintf(table, "%s\t%s\n", name, value)
				}
			}
			row("version", a.Version)
			commit := a.Commit
			if a.Modified {
				commit += " and changes"
			}
			row("commit", commit)
			row("date", a.Date)
			row("built with", fmt.Sprintf("%s for %s/%s, %d modules", a.Go, a.OS, a.Arch, a.Modules))
			var tables []string
			for _, owner := range slices.Sorted(maps.Keys(a.Migrations)) {
				tables = append(tables, fmt.Sprintf("%s %d", owner, a.Migrations[owner]))
			}
			row("tables", strings.Join(tables, ", "))
			for _, name := range slices.Sorted(maps.Keys(a.Protocols)) {
				row(name, strings.Join(a.Protocols[name], ", "))
			}
			return table.Flush()
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return command
}
