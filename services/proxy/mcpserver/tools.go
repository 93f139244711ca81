package mcpserver

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"uaol/services"
	"uaol/services/billing"
)

// pageSize is how many definitions one answer holds.
const pageSize = 200

// listTools lists what the caller may call and can pay.
func (q *request) listTools(ctx context.Context) {
	all, err := q.endpoint.listed(ctx, q.caller, q.shelf)
	if err != nil {
		q.fail(err)
		return
	}
	from, err := q.after()
	if err != nil {
		q.fail(err)
		return
	}
	begin := 0
	if from != "" {
		begin, _ = slices.BinarySearchFunc(all, from, func(e exposed, name string) int { return strings.Compare(e.name, name) })
		if begin < len(all) && all[begin].name == from {
			begin++
		}
	}
	page := all[begin:min(begin+pageSize, len(all))]
	size := 64
	for _, e := range page {
		size += len(e.text) + 1
	}
	var text strings.Builder
	text.Grow(size)
	text.WriteString(`"tools":[`)
	for i, e := range page {
		if i > 0 {
			text.WriteByte(',')
		}
		text.Write(e.text)
	}
	text.WriteByte(']')
	if begin+len(page) < len(all) {
		text.WriteString(`,"nextCursor":"` + cursorAt(page[len(page)-1].name) + `"`)
	}
	q.complete(text.String(), keepList)
}

// listed are the methods on a shelf that the caller can pay for, by name.
func (e *Endpoint) listed(ctx context.Context, caller services.Caller, shelf shelf) ([]exposed, error) {
	tools, err := shelf.offers(ctx, caller)
	if err != nil {
		return nil, err
	}
	all := e.printed.exposures(tools, e.log)
	if !slices.ContainsFunc(all, func(e exposed) bool { return e.price > 0 }) {
		return all, nil
	}
	balance, err := e.meter.Balance(ctx, billing.BalanceRequest{Caller: caller})
	if err != nil {
		return nil, err
	}
	can := balance.Available
	if balance.Debt > 0 {
		can = 0
	}
	return slices.DeleteFunc(all, func(e exposed) bool { return e.price > can }), nil
}

// after reads a request's cursor: the last name of the page before.
func (q *request) after() (string, error) {
	if q.params.cursor == nil {
		return "", nil
	}
	name, err := base64.RawURLEncoding.DecodeString(*q.params.cursor)
	if err != nil || len(name) == 0 {
		return "", services.Errorf(services.Invalid, "The cursor is not one of this list's")
	}
	return string(name), nil
}

func cursorAt(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }
