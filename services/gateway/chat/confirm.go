package chat

import (
	"context"
	"slices"

	"uaol/services"
	"uaol/services/proxy"
	"uaol/services/storage/conversations"
)

// pending gives the calls that the conversation's last answer waits for, when this turn
// decides about them. Whatever was said since has let them go.
func (t *turn) pending(history []conversations.Message) ([]Confirmation, error) {
	if len(t.in.Confirm) == 0 {
		return nil, nil
	}
	var waiting []Confirmation
	for _, m := range slices.Backward(history) {
		if m.Role == conversations.Assistant {
			if n := notedOf(m); n.Reply != nil {
				waiting = n.Reply.Confirmations
			}
			break
		}
	}
	for _, d := range t.in.Confirm {
		if !slices.ContainsFunc(waiting, func(c Confirmation) bool { return c.ID == d.ID }) {
			return nil, services.Errorf(services.Conflict, "No call of that id waits for a confirmation; it was decided, or something else was said since")
		}
	}
	return waiting, nil
}

// decide makes the calls that were approved, in the order in which the model asked for
// them, and gives all answers. A turn that was begun before may have made them: then
// nobody knows, and they are not made again.
func (t *turn) decide(ctx context.Context, waiting []Confirmation) map[string]string {
	answers := map[string]string{}
	for _, c := range waiting {
		approved := slices.ContainsFunc(t.in.Confirm, func(d Decision) bool { return d.ID == c.ID && d.Approve })
		text := ""
		switch {
		case !approved:
			text = "The user has declined this call: it was not made."
			t.used(ToolUse{ID: c.ID, Tool: c.Tool, ToolID: c.ToolID, Method: c.Method, Given: c.Given, Outcome: "declined"})
		case t.again:
			text = "Nobody knows whether this call was made: the server ended while it was. Do not call it again."
			t.used(ToolUse{ID: c.ID, Tool: c.Tool, ToolID: c.ToolID, Method: c.Method, Given: c.Given, Outcome: string(proxy.Unknown), Error: "The server ended while the call was made; if it was made it is paid for"})
		default:
			text = t.call(ctx, c)
		}
		answers[c.ID] = text
		t.answered(c.ID, text)
	}
	return answers
}
