package mcpserver

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"net/http"
	"time"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/jobs"
)

const (
	// changesEvery is how often a stream looks whether the tools have changed.
	changesEvery = time.Second
	// listsEvery is how often it looks at what only the tools' servers can say.
	listsEvery = entriesFor
	// mostFollowed things of one kind may one stream follow.
	mostFollowed = 100
)

// wanted is of what a stream tells.
type wanted struct {
	Tools     bool     `json:"toolsListChanged,omitempty"`
	Prompts   bool     `json:"promptsListChanged,omitempty"`
	Resources bool     `json:"resourcesListChanged,omitempty"`
	Updates   []string `json:"resourceSubscriptions,omitempty"`
	Tasks     []string `json:"taskIds,omitempty"`
}

// subscribe opens a stream of the stateless protocol on which a client hears of changes.
func (q *request) subscribe(ctx context.Context) {
	var said struct {
		Notifications *wanted `json:"notifications"`
	}
	switch {
	case json.Unmarshal(q.params.all, &said) != nil || said.Notifications == nil:
		q.reply.fail(invalidParams("subscriptions/listen needs notifications"))
		return
	case !q.reply.streams:
		q.reply.failWith(http.StatusBadRequest, invalidRequest("The header Accept must name text/event-stream"))
		return
	case len(said.Notifications.Tasks) > 0 && !q.params.meta.tasks():
		q.reply.fail(missingTasks())
		return
	case len(said.Notifications.Tasks) > mostFollowed || len(said.Notifications.Updates) > mostFollowed:
		q.reply.fail(invalidParams("A stream can follow 100 resources and 100 tasks"))
		return
	}
	s := newStream(q, q.id)
	defer s.close()
	agreed := wanted{Tools: said.Notifications.Tools, Prompts: said.Notifications.Prompts, Resources: said.Notifications.Resources}
	found := map[string]located{}
	for _, uri := range said.Notifications.Updates {
		if tool, own, err := q.endpoint.locate(ctx, q.caller, q.shelf, uri); err == nil {
			found[uri] = located{tool, own}
			agreed.Updates = append(agreed.Updates, uri)
		}
	}
	standing := map[string]jobs.Standing{}
	for _, id := range said.Notifications.Tasks {
		if is, err := q.endpoint.task(ctx, q.caller, id); err == nil {
			standing[id] = is
			agreed.Tasks = append(agreed.Tasks, id)
		}
	}
	if s.tell("notifications/subscriptions/acknowledged", map[string]any{"notifications": agreed}) != nil {
		return
	}
	for uri, at := range found {
		s.update(uri, at)
	}
	for _, is := range standing {
		s.task(is)
	}
	s.lists(ctx, agreed, nil)
	if api.Stopping(ctx).Err() != nil { // not the client's wish: it is told that this ends well
		q.reply.result([]byte(`{"resultType":"complete","_meta":{"` + metaServer + `":` + serverInfo + `,"` + metaSubscription + `":` + string(q.id) + `}}`))
	}
}

// stream tells one client of changes.
type stream struct {
	request *request
	id      json.RawMessage // of the subscription; nil for clients of the older protocols
	ctx     context.Context // ends with the stream
	stop    context.CancelFunc
	leaves  map[string]func() // by the addresses of the resources that are followed
}

func newStream(q *request, id json.RawMessage) *stream {
	ctx, stop := context.WithCancel(q.http.Context())
	return &stream{request: q, id: id, ctx: ctx, stop: stop, leaves: map[string]func(){}}
}

func (s *stream) close() {
	s.stop()
	for _, leave := range s.leaves {
		leave()
	}
}

// tell sends a notification.
func (s *stream) tell(method string, members map[string]any) error {
	if s.id != nil {
		if members == nil {
			members = map[string]any{}
		}
		members["_meta"] = map[string]any{metaSubscription: s.id}
	}
	var params json.RawMessage
	if members != nil {
		params = mustJSON(members)
	}
	return s.request.reply.tell("", method, params)
}

// located is a resource at its tool.
type located struct {
	tool laid
	own  string
}

// update follows a resource. One that can't be followed is not told of.
func (s *stream) update(uri string, at located) {
	if _, known := s.leaves[uri]; known {
		return
	}
	leave, err := s.request.endpoint.watches.follow(s.request.caller, at.tool, at.own, func() {
		_ = s.tell("notifications/resources/updated", map[string]any{"uri": uri}) // whoever left does not mind
	})
	if err == nil {
		s.leaves[uri] = leave
	}
}

// task follows a task to its end.
func (s *stream) task(is jobs.Standing) {
	q := s.request
	go func() {
		for {
			members := map[string]any{}
			_ = json.Unmarshal(taskOf(is, q.can, false), &members) // it was written by us
			if s.tell("notifications/tasks", members) != nil || is.Job.Status.Ended() {
				return
			}
			for was := is.Mark; is.Mark == was; {
				next, err := q.endpoint.workflows.runner.Standing(s.ctx, jobs.StandingRequest{Caller: q.caller, Job: is.Job.ID, After: was, Wait: jobs.MostWait})
				if s.ctx.Err() != nil {
					return
				}
				if err != nil {
					pause(s.ctx, changesEvery)
					continue
				}
				is = next
			}
		}
	}()
}

// lists tells of changed lists until the client leaves or the process stops; each is
// called at every look.
func (s *stream) lists(ctx context.Context, wants wanted, each func()) {
	e, q := s.request.endpoint, s.request
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(api.Stopping(ctx), cancel)()
	defer context.AfterFunc(e.ctx, cancel)()
	looks := []look{ // of which the first is taken now
		{wants.Tools, changesEvery, "notifications/tools/list_changed", func() (uint64, error) { return e.fingerprint(ctx, q.caller, q.shelf) }, time.Time{}, 0},
		{wants.Prompts, listsEvery, "notifications/prompts/list_changed", func() (uint64, error) { return e.entriesPrint(ctx, q.caller, q.shelf, prompts) }, time.Time{}, 0},
		{wants.Resources, listsEvery, "notifications/resources/list_changed", func() (uint64, error) { return e.entriesPrint(ctx, q.caller, q.shelf, resources, templates) }, time.Time{}, 0},
	}
	ticker := time.NewTicker(changesEvery)
	defer ticker.Stop()
	for {
		for i := range looks {
			if looks[i].changed() && s.tell(looks[i].method, nil) != nil {
				return
			}
		}
		if each != nil {
			each()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look is one that a stream takes now and then.
type look struct {
	wanted bool
	every  time.Duration
	method string
	print  func() (uint64, error) // another number where something has changed
	next   time.Time
	last   uint64
}

// changed looks if it is time to.
func (l *look) changed() bool {
	now := time.Now()
	if !l.wanted || now.Before(l.next) {
		return false
	}
	first := l.next.IsZero()
	l.next = now.Add(l.every)
	print, err := l.print()
	if err != nil || !first && print == l.last {
		return false
	}
	l.last = print
	return !first
}

var seed = maphash.MakeSeed()

// fingerprint changes when the methods on a shelf do.
func (e *Endpoint) fingerprint(ctx context.Context, caller services.Caller, shelf shelf) (uint64, error) {
	tools, err := shelf.offers(ctx, caller)
	if err != nil {
		return 0, err
	}
	var sum maphash.Hash
	sum.SetSeed(seed)
	for _, t := range tools {
		maphash.WriteComparable(&sum, t.ToolID)
		maphash.WriteComparable(&sum, t.Version)
		_, _ = sum.WriteString(t.Digest) // a sum takes anything
		for i, m := range t.Methods {
			if m.Difference != "" {
				maphash.WriteComparable(&sum, i)
			}
		}
	}
	return sum.Sum64(), nil
}

// entriesPrint changes when what the tools' servers list does.
func (e *Endpoint) entriesPrint(ctx context.Context, caller services.Caller, shelf shelf, kinds ...listKind) (uint64, error) {
	tools, err := shelf.offers(ctx, caller)
	if err != nil {
		return 0, err
	}
	var sum maphash.Hash
	sum.SetSeed(seed)
	for _, kind := range kinds {
		for _, entry := range e.entries.all(ctx, caller, tools, kind) {
			_, _ = sum.Write(entry.text) // a sum takes anything
		}
	}
	return sum.Sum64(), nil
}
