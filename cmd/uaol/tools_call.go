package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func newToolsCall(remote *remoteFlags) *cobra.Command {
	var args []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "call TOOL METHOD [JSON | -]",
		Short: "Call a method, with arguments as JSON, from standard input (-), or one by one",
		Example: `  uaol tools call everything echo '{"message":"hello"}'
  uaol tools call everything get-sum --arg a=2 --arg b=3
  jq -c . request.json | uaol tools call everything echo -`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, at []string) error {
			params := map[string]json.RawMessage{}
			if len(at) == 3 {
				text := []byte(at[2])
				if at[2] == "-" {
					var err error
					if text, err = io.ReadAll(cmd.InOrStdin()); err != nil {
						return err
					}
				}
				if err := json.Unmarshal(text, &params); err != nil || params == nil {
					return errors.New("the arguments must be a JSON object")
				}
			}
			return remote.with(cmd, func(ctx context.Context, c *client) error {
				found, err := c.find(ctx, at[0])
				if err != nil {
					return err
				}
				if err := addArguments(params, args, found, at[1]); err != nil {
					return err
				}
				var result json.RawMessage
				if err := c.do(ctx, http.MethodPost, "/proxy/"+found.ID+"/call", map[string]any{"method": at[1], "params": params}, &result); err != nil {
					return err
				}
				return newTerminal(cmd).result(result, found.price(at[1]), asJSON)
			})
		},
	}
	cmd.Flags().StringArrayVar(&args, "arg", nil, "NAME=VALUE; repeat it for more; NAME:=JSON for what is no text")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole result")
	return cmd
}

// addArguments reads NAME=VALUE in the type that the method's schema wants.
func addArguments(params map[string]json.RawMessage, args []string, found tool, name string) error {
	types := map[string]string{}
	for _, m := range found.Methods {
		var schema struct {
			Properties map[string]struct {
				Type any `json:"type"`
			} `json:"properties"`
		}
		if m.Name == name && json.Unmarshal(m.InputSchema, &schema) == nil {
			for property, s := range schema.Properties {
				types[property], _ = s.Type.(string)
			}
		}
	}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return fmt.Errorf("--arg %s: write NAME=VALUE", arg)
		}
		name, exact := strings.CutSuffix(name, ":")
		if exact && !json.Valid([]byte(value)) {
			return fmt.Errorf("--arg %s: that is not JSON", arg)
		}
		wanted := types[name]
		if exact || wanted != "" && wanted != "string" && json.Valid([]byte(value)) {
			params[name] = json.RawMessage(value)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		params[name] = text
	}
	return nil
}

var errTool = errors.New("the tool reports an error; the call was not charged")

// result prints what a tool answered: its texts, or all of it as JSON.
func (t terminal) result(raw json.RawMessage, price int64, asJSON bool) error {
	var said struct {
		Content []struct {
			Type     string `json:"type"`
			Text     string `json:"text"`
			MIMEType string `json:"mimeType"`
			Data     string `json:"data"`
			URI      string `json:"uri"`
		} `json:"content"`
		Structured json.RawMessage `json:"structuredContent"`
		IsError    bool            `json:"isError"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return err
	}
	switch {
	case asJSON:
		if err := t.json(raw); err != nil {
			return err
		}
	case len(said.Content) == 0 && len(said.Structured) > 0:
		if err := t.json(said.Structured); err != nil {
			return err
		}
	default:
		for _, part := range said.Content {
			switch {
			case part.Type == "text":
				t.say("%s", printable(part.Text))
			case part.URI != "":
				t.say("[%s %s]", plain(part.Type, 40), plain(part.URI, 200))
			default:
				t.say("[%s %s, %d bytes; --json shows it]", plain(part.Type, 40), plain(part.MIMEType, 80), len(part.Data)*3/4)
			}
		}
	}
	if said.IsError {
		return errTool
	}
	fmt.Fprintf(t.err, "%s\n", count(int(price), "credit"))
	return nil
}

// example is a method with arguments as one would write them.
func example(methods []method) string {
	if len(methods) == 0 {
		return "METHOD"
	}
	best := methods[0]
	var wanted []string
	for _, m := range methods {
		if names := required(m); m.Name == "echo" || len(names) > 0 && len(wanted) == 0 && best.Name != "echo" {
			best, wanted = m, names
		}
	}
	text := best.Name
	for _, name := range wanted {
		text += " --arg " + plain(name, 60) + "=…"
	}
	return plain(text, 200)
}

func required(m method) []string {
	var schema struct {
		Required []string `json:"required"`
	}
	_ = json.Unmarshal(m.InputSchema, &schema) // without one, no arguments are shown
	return schema.Required
}
