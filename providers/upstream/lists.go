package upstream

import (
	"context"
	"encoding/json"
)

// List is what a tool's server has of one kind besides methods.
type List struct {
	request, member string
	has             func(Offered) bool
}

// The lists.
var (
	Resources         = List{"resources/list", "resources", func(o Offered) bool { return o.Resources }}
	ResourceTemplates = List{"resources/templates/list", "resourceTemplates", func(o Offered) bool { return o.Resources }}
	Prompts           = List{"prompts/list", "prompts", func(o Offered) bool { return o.Prompts }}
)

// Member is what the list is called in an answer.
func (l List) Member() string { return l.member }

// Lists gives all entries of a list, as the server wrote them; none where it has no such
// list, and of tools of other protocols than MCP.
func (c *Client) Lists(ctx context.Context, target Target, of List) ([]json.RawMessage, error) {
	offered, err := c.Offered(ctx, target)
	if err != nil || !of.has(offered) {
		return nil, err
	}
	ctx, l, err := c.begin(ctx, 0, false)
	if err != nil {
		return nil, err
	}
	defer l.end()
	var all []json.RawMessage
	err = eachPage(c.limits.MaxAnswer, func(cursor string) (json.RawMessage, error) {
		got, err := c.inSession(ctx, target, &request{method: of.request, params: cursorOf(cursor), headers: target.Headers, talk: listing}, true)
		return got.raw, err
	}, func(raw json.RawMessage) (count int, next string, err error) {
		good := false
		object := Members(raw, func(key, value []byte) {
			switch string(key) {
			case of.member:
				good = Elements(value, func(entry []byte) { all = append(all, append(json.RawMessage(nil), entry...)) })
			case "nextCursor":
				_ = json.Unmarshal(value, &next) // what is no cursor ends the list
			}
		})
		if !object || !good {
			return 0, "", garbage("its list is not one")
		}
		return len(all), next, nil
	})
	return all, err
}

// eachPage asks for page after page until there is none, or one comes twice. read gives
// how many entries there are by then, and the next page's cursor.
func eachPage(limit int64, page func(cursor string) (json.RawMessage, error), read func(raw json.RawMessage) (count int, next string, err error)) error {
	seen, cursor := map[string]bool{}, ""
	for {
		raw, err := page(cursor)
		if err != nil {
			return err
		}
		if limit -= int64(len(raw)); limit < 0 {
			return errTooLarge
		}
		count, next, err := read(raw)
		if err != nil || next == "" {
			return err
		}
		if seen[next] || count > maxMethods || len(seen) > maxMethods {
			return garbage("its list has no end")
		}
		cursor, seen[next] = next, true
	}
}
