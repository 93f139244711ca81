package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"uaol/app"
	"uaol/providers/config"
	"uaol/services"
)

func newConfig() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "config",
		Short: "List every setting: what it holds, where that comes from, what it is for",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := config.Read()
			if err != nil {
				return err
			}
			type line struct {
				Variable string `json:"variable"`
				Value    string `json:"value"`
				Source   string `json:"source"`
				Doc      string `json:"doc"`
			}
			var lines []line
			for _, s := range app.Settings() {
				source := "default"
				if _, set := env.Lookup(s.Variable); set {
					source = env.Source(s.Variable)
				}
				lines = append(lines, line{s.Variable, s.Shown(env), source, s.Doc})
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(lines)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "VARIABLE\tVALUE\tFROM\tMEANING")
			for _, l := range lines {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.Variable, l.Value, l.Source, l.Doc)
			}
			return table.Flush()
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return command
}

func newGraph() *cobra.Command {
	var chain string
	command := &cobra.Command{
		Use:   "graph [service…]",
		Short: "Print the dependency graph of a process as DOT",
		Example: `  uaol graph | dot -Tsvg > graph.svg
  uaol graph --chain billing    # the guarantee, with one service as the example, as Mermaid`,
		RunE: func(cmd *cobra.Command, names []string) error {
			set, err := app.ParseSet(names)
			if err != nil {
				return err
			}
			text := ""
			if chain != "" {
				text, err = app.Chain(services.Name(chain))
			} else {
				text, err = app.Graph(set...)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	command.Flags().StringVar(&chain, "chain", "", "only the chain from the environment to the server, through this service, as Mermaid")
	return command
}

func newHealthcheck() *cobra.Command {
	var url string
	command := &cobra.Command{
		Use:   "healthcheck [service…]",
		Short: "Exit 0 if the server on this machine is ready, 1 if not (for containers)",
		Long:  "Asks /readyz on the port that serve takes with the same services and settings.",
		RunE: func(cmd *cobra.Command, names []string) error {
			env, err := config.Read()
			if err != nil {
				return err
			}
			set, err := app.ParseSet(names)
			if err != nil {
				return err
			}
			if url == "" {
				if url, err = app.ReadyURL(env, set...); err != nil {
					return err
				}
			}
			client, err := app.LocalClient(env, set...)
			if err != nil {
				return err
			}
			response, err := client.Get(url)
			if err != nil {
				return fmt.Errorf("no answer from %s", url)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s", url, response.Status)
			}
			return nil
		},
	}
	command.Flags().StringVar(&url, "url", "", "what to ask; default: /readyz on the port that serve takes")
	return command
}
