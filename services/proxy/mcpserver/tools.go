package mcpserver

import (
	"context"
	"encoding/base64"
	"slices"
	"sort"
	"strings"

	"uaol/services"
	"uaol/services/billing"
)

// pageSize is how many definitions one answer holds: many, because there are clients that
// do not ask for a second page.
const pageSize = 500

// listTools lists what the caller may call and can pay.
func (q *request) listTools(ctx context.Context) {
	if _, ok := q.shelf.(searched); ok {
		q.listSearch(ctx)
		return
	}
	all, err := q.endpoint.listed(ctx, q.caller, q.shelf)
	if err != nil {
		q.fail(err)
		return
	}
	q.page("tools", len(all), func(i int) (string, []byte) { return all[i].name, all[i].text })
}

// page answers with one page of a list that is in order of its names.
func (q *request) page(member string, n int, at func(i int) (name string, text []byte)) {
	last, err := q.after()
	if err != nil {
		q.fail(err)
		return
	}
	begin := 0
	if last != "" {
		begin = sort.Search(n, func(i int) bool { name, _ := at(i); return name > last })
	}
	end := min(begin+pageSize, n)
	size := 64
	for i := begin; i < end; i++ {
		_, text := at(i)
		size += len(text) + 1
	}
	var list strings.Builder
	list.Grow(size)
	list.WriteString(`"` + member + `":[`)
	for i := begin; i < end; i++ {
		if i > begin {
			list.WriteByte(',')
		}
		_, text := at(i)
		list.Write(text)
	}
	list.WriteByte(']')
	if end < n {
		name, _ := at(end - 1)
		list.WriteString(`,"nextCursor":"` + cursorAt(name) + `"`)
	}
	q.complete(list.String(), keepList)
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
