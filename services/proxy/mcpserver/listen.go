package mcpserver

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

// changesEvery is how often a stream looks whether the tools have changed.
const changesEvery = time.Second

// subscribe opens a stream of the stateless protocol on which a client hears of changes.
func (q *request) subscribe(ctx context.Context) {
	var wanted struct {
		Notifications *struct {
			Tools bool `json:"toolsListChanged"`
		} `json:"notifications"`
	}
	if json.Unmarshal(q.params.all, &wanted) != nil || wanted.Notifications == nil {
		q.reply.fail(invalidParams("subscriptions/listen needs notifications"))
		return
	}
	if !q.reply.streams {
		q.reply.failWith(400, invalidRequest("The header Accept must name text/event-stream"))
		return
	}
	tools, agreed := wanted.Notifications.Tools, map[string]any{}
	if tools {
		agreed["toolsListChanged"] = true
	}
	if q.reply.tell("", "notifications/subscriptions/acknowledged", mustJSON(map[string]any{
		"_meta": map[string]any{metaSubscription: q.id}, "notifications": agreed,
	})) != nil {
		return
	}
	q.endpoint.follow(ctx, q.caller, q.shelf, q.reply, tools, q.id)
	if api.Stopping(ctx).Err() != nil { // not the client's wish: it is told that this ends well
		q.reply.result([]byte(`{"resultType":"complete","_meta":{"` + metaServer + `":` + serverInfo + `,"` + metaSubscription + `":` + string(q.id) + `}}`))
	}
}

// follow tells a client of changes until it leaves or the process stops.
func (e *Endpoint) follow(ctx context.Context, caller services.Caller, shelf shelf, r *reply, tools bool, subscription json.RawMessage) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(api.Stopping(ctx), cancel)()
	defer context.AfterFunc(e.ctx, cancel)()
	var params json.RawMessage
	if subscription != nil {
		params = mustJSON(map[string]any{"_meta": map[string]any{metaSubscription: subscription}})
	} else if r.open() != nil {
		return
	}
	last, _ := e.fingerprint(ctx, caller, shelf)
	ticker := time.NewTicker(changesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := e.fingerprint(ctx, caller, shelf)
		if err != nil || now == last {
			continue
		}
		last = now
		if tools && r.tell("", "notifications/tools/list_changed", params) != nil {
			return
		}
	}
}

// fingerprint changes when the methods on a shelf do.
func (e *Endpoint) fingerprint(ctx context.Context, caller services.Caller, shelf shelf) (uint64, error) {
	tools, err := shelf.offers(ctx, caller)
	if err != nil {
		return 0, err
	}
	sum := fnv.New64a()
	for _, t := range tools {
		_, _ = sum.Write(t.ToolID[:]) // a sum takes anything
		_, _ = sum.Write([]byte{byte(t.Version), byte(t.Version >> 8), byte(t.Version >> 16), byte(t.Version >> 24)})
		_, _ = sum.Write([]byte(t.Digest))
		for i, m := range t.Methods {
			if m.Difference != "" {
				_, _ = sum.Write([]byte{byte(i), byte(i >> 8)})
			}
		}
	}
	return sum.Sum64(), nil
}
