package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

func newJobsRun(remote *remoteFlags) *cobra.Command {
	var input, key, workflow string
	var priority int
	var version int64
	var watching watchFlags
	cmd := &cobra.Command{
		Use: "run FILE | - | --workflow ID", Short: "Run a workflow from a file, from standard input (-), or a saved one", Args: cobra.MaximumNArgs(1),
		Long: `Runs a workflow and prints its job's id. The definition is JSON or YAML:

  steps:
    - id: look
      tool_id: 0190a0b0-0000-7000-8000-000000000000
      action: search
      parameters: {query: "{{input.city}}"}
    - id: tell
      tool_id: 0190a0b0-0000-7000-8000-000000000000
      action: send
      parameters: {text: "{{look.result.content.0.text}}"}

Or it is a saved workflow, by its id: its newest version unless --version says which.

With --idempotency-key a repetition finds the job that the first request made,
instead of making another.`,
		Example: `  uaol jobs run workflow.yaml --input '{"city":"Paris"}' --watch
  uaol jobs run workflow.json --input @input.json --idempotency-key order-17
  uaol jobs run --workflow 7f1d0c3e-… --input '{"city":"Paris"}'
  generate | uaol jobs run - --watch --json | jq .final_output`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"priority": priority}
			saved, numbered := cmd.Flags().Changed("workflow"), cmd.Flags().Changed("version")
			switch {
			case saved == (len(args) == 1), numbered && !saved:
				return errors.New("say either a FILE or --workflow ID, which may have a --version")
			case saved:
				body["workflow_id"] = workflow
				if numbered {
					body["workflow_version"] = version
				}
			default:
				definition, err := definitionOf(cmd, args[0])
				if err != nil {
					return err
				}
				body["workflow_definition"] = definition
			}
			if cmd.Flags().Changed("input") {
				text, err := inputOf(input)
				if err != nil {
					return err
				}
				body["input"] = text
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				asking := *c
				if key != "" {
					asking.header = http.Header{"Idempotency-Key": {key}}
				}
				var made job
				if err := asking.do(ctx, http.MethodPost, "/jobs", body, &made); err != nil {
					return explained(err)
				}
				return watching.after(ctx, cmd, c, made.ID)
			})
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "what {{input}} stands for: JSON, or @FILE")
	cmd.Flags().StringVar(&workflow, "workflow", "", "a saved workflow's id, instead of a file")
	cmd.Flags().Int64Var(&version, "version", 0, "of the saved workflow; default: the newest")
	cmd.Flags().IntVar(&priority, "priority", 0, "among one's own jobs, -100 to 100; higher goes first")
	cmd.Flags().StringVar(&key, "idempotency-key", "", "requests with the same one are the same request")
	watching.add(cmd)
	return cmd
}

// explained adds to a refusal what is wrong where, in the same line, with places in the
// file instead of in the request.
func explained(err error) error {
	var refused *apiError
	if !errors.As(err, &refused) || len(refused.Details) == 0 {
		return err
	}
	said := *refused
	said.Message = inFile(said.Message)
	err = &said
	var faults []string
	for _, fault := range refused.Details {
		if fault.Message != "" && refused.Message != fault.Message && refused.Message != fault.Path+": "+fault.Message {
			faults = append(faults, inFile(fault.Path)+": "+fault.Message)
		}
	}
	if len(faults) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, plain(strings.Join(faults, "; "), 600))
}

func inFile(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, "body."), "workflow_definition.")
}

// mostFile is more than any definition or input may hold.
const mostFile = 4 << 20

// definitionOf reads a workflow as JSON; one that is JSON already stays as it is.
func definitionOf(cmd *cobra.Command, name string) (json.RawMessage, error) {
	text, err := fileOf(cmd, name)
	if err != nil {
		return nil, err
	}
	definition := json.RawMessage(text)
	if !json.Valid(text) {
		if definition, err = fromYAML(text); err != nil {
			return nil, fmt.Errorf("%s is neither JSON nor YAML: %s", name, plain(err.Error(), 300))
		}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(definition, &members) != nil || members == nil {
		return nil, fmt.Errorf("%s is no workflow: it has no steps", name)
	}
	if members["steps"] == nil && members["workflow_definition"] != nil {
		return nil, fmt.Errorf("%s has workflow_definition at its top, which is for requests: leave it out, so that steps is at the top", name)
	}
	return definition, nil
}

func fileOf(cmd *cobra.Command, name string) ([]byte, error) {
	from := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, mostFile+1))
	if err == nil && len(text) > mostFile {
		err = fmt.Errorf("%s has more than %d bytes", name, mostFile)
	}
	return text, err
}

// fromYAML makes JSON of YAML. What looks like a date is a text: JSON has no dates.
func fromYAML(text []byte) (json.RawMessage, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, err
	}
	datesAsTexts(&node)
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, errors.New("it holds what JSON can't say: keys that are no texts, or numbers that are none")
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func datesAsTexts(node *yaml.Node) {
	if node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, child := range node.Content {
		datesAsTexts(child)
	}
}

// inputOf reads JSON that was given on the command line, or as @FILE.
func inputOf(text string) (json.RawMessage, error) {
	raw := []byte(text)
	if name, ok := strings.CutPrefix(text, "@"); ok {
		var err error
		if raw, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	if !json.Valid(raw) {
		return nil, errors.New("--input is not JSON; write '{\"name\":\"value\"}', or @FILE")
	}
	return raw, nil
}
