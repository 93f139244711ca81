package upstream

import (
	"context"
	"encoding/json"
	"slices"

	"go.uber.org/zap"
)

// maxMethods bounds how many methods one tool may list.
const maxMethods = 10_000

// Method is one of a tool's methods, as MCP's tools/list describes it.
type Method struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  *Annotations    `json:"annotations,omitempty"`
}

// Annotations are what the tool claims of a method's effects. Where it says
// nothing, MCP's defaults hold: destructive and open to the world.
type Annotations struct {
	Title       string `json:"title,omitempty"`
	ReadOnly    bool   `json:"readOnlyHint"`
	Destructive bool   `json:"destructiveHint"`
	Idempotent  bool   `json:"idempotentHint"`
	OpenWorld   bool   `json:"openWorldHint"`
	// TakesKey is ours, not MCP's: calls with the same idempotency key, which every
	// call has in its _meta and in a header, are one call to the tool.
	TakesKey bool `json:"idempotencyKeyHint,omitempty"`
}

// UnmarshalJSON puts the defaults where the tool said nothing.
func (a *Annotations) UnmarshalJSON(data []byte) error {
	type plain Annotations
	said := plain{Destructive: true, OpenWorld: true}
	if err := json.Unmarshal(data, &said); err != nil {
		return err
	}
	*a = Annotations(said)
	return nil
}

type methodPage struct {
	Tools      []Method `json:"tools"`
	NextCursor string   `json:"nextCursor"`
}

// allPages gives all methods, page by page.
func allPages(limit int64, page func(cursor string) (json.RawMessage, error)) ([]Method, error) {
	methods := []Method{}
	err := eachPage(limit, page, func(raw json.RawMessage) (count int, next string, err error) {
		var part methodPage
		if !isObject(raw) || json.Unmarshal(raw, &part) != nil {
			return 0, "", garbage("its list of methods is not one")
		}
		for _, m := range part.Tools {
			if m.Name == "" {
				return 0, "", garbage("its list has a method without a name")
			}
			if isNull(m.InputSchema) {
				m.InputSchema = json.RawMessage(`{"type":"object"}`)
			}
			methods = append(methods, m)
		}
		return len(methods), part.NextCursor, nil
	})
	if err != nil {
		return nil, err
	}
	return methods, nil
}

func cursorOf(cursor string) json.RawMessage {
	if cursor == "" {
		return nil
	}
	return append(appendText([]byte(`{"cursor":`), cursor), '}')
}

func (c *Client) listSession(ctx context.Context, target Target) ([]Method, error) {
	methods, err := allPages(c.limits.MaxAnswer, func(cursor string) (json.RawMessage, error) {
		r := request{method: "tools/list", params: cursorOf(cursor), headers: target.Headers, talk: listing}
		got, err := c.inSession(ctx, target, &r, true)
		return got.raw, err
	})
	if target.Protocol != ProtocolMCP && target.Protocol != "" {
		return methods, err
	}
	return slices.DeleteFunc(methods, func(m Method) bool {
		fault := mirrorFault(m.InputSchema)
		if fault != nil {
			c.log.Warn("a method is left out: its schema wants headers that there can't be",
				zap.Stringer("tool_id", target.ToolID), zap.String("method", presentable(m.Name)), zap.Error(fault))
		}
		return fault != nil
	}), err
}

func (c *Client) listBare(ctx context.Context, target Target) ([]Method, error) {
	return allPages(c.limits.MaxAnswer, func(cursor string) (json.RawMessage, error) {
		r := request{method: "tools/list", params: cursorOf(cursor), headers: target.Headers}
		got, err := c.bare(ctx, target, &r, true)
		return got.raw, err
	})
}
