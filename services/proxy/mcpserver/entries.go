package mcpserver

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
)

// entry is a resource, a template of resources or a prompt as clients see it.
type entry struct {
	name string // by which lists are in order: a prompt's name, a resource's address
	text []byte
	tool laid
	own  string // what the tool's server calls it
}

// listKind is how entries of one kind are written.
type listKind struct {
	list upstream.List
	key  string // the member that names an entry
	name func(l laid, own string) string
}

var (
	resources = listKind{upstream.Resources, "uri", laid.address}
	templates = listKind{upstream.ResourceTemplates, "uriTemplate", laid.address}
	prompts   = listKind{upstream.Prompts, "name", func(l laid, own string) string { return l.name(own) }}
)

// address is what a resource of the tool is called on the shelf: slug+uri, where names
// have a prefix at all.
func (l laid) address(uri string) string {
	if l.prefix == "" {
		return uri
	}
	return addressed(l.prefix) + uri
}

// addressed is what addresses of a tool's resources begin with. A scheme begins with a
// letter.
func addressed(slug string) string {
	if slug[0] < 'a' {
		slug = "x" + slug
	}
	return slug + "+"
}

const (
	lookWithin = 5 * time.Second // that one tool's server may take for its lists
	lookAtOnce = 16              // servers
	entriesFor = 30 * time.Second
	failureFor = 10 * time.Second
)

// entries keeps what tools' servers list for a moment: a client asks for all its lists
// when it begins, and again on each page.
type entries struct {
	endpoint *Endpoint
	kept     *otter.Cache[entriesOf, listed]
	flying   sync.Map // entriesOf → *flight
}

type entriesOf struct {
	tool    uuid.UUID
	version int64
	member  string
	account uuid.UUID // where what is listed depends on whose credentials are carried
}

type listed struct {
	entries []json.RawMessage
	failed  bool
}

type flight struct {
	done  chan struct{}
	found []json.RawMessage
}

func newEntries(e *Endpoint) *entries {
	return &entries{endpoint: e, kept: otter.Must(&otter.Options[entriesOf, listed]{
		MaximumSize: 10_000,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(entry otter.Entry[entriesOf, listed]) time.Duration {
			if entry.Value.failed {
				return failureFor
			}
			return entriesFor
		}),
	})}
}

func (s *entries) close() { s.kept.StopAllGoroutines() }

// of gives a tool's entries. One whose server does not answer has none: the others'
// are what the client came for.
func (s *entries) of(ctx context.Context, caller services.Caller, offer registry.Offer, kind listKind) []json.RawMessage {
	if offer.Slug == registry.Workflows { // which have no server
		return nil
	}
	key := entriesOf{tool: offer.ToolID, version: offer.Version, member: kind.list.Member()}
	if offer.Credentialed().Needs() {
		key.account = caller.Account
	}
	if known, ok := s.kept.GetIfPresent(key); ok {
		return known.entries
	}
	mine := &flight{done: make(chan struct{})}
	if other, under := s.flying.LoadOrStore(key, mine); under {
		theirs, _ := other.(*flight)
		select {
		case <-theirs.done:
			return theirs.found
		case <-ctx.Done():
			return nil
		}
	}
	defer close(mine.done)
	defer s.flying.Delete(key)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
	defer cancel()
	found, err := s.endpoint.calls.List(within, caller, offer, kind.list)
	if err != nil {
		s.endpoint.log.Info("a tool's server does not say what it has", zap.Stringer("tool_id", offer.ToolID), zap.String("list", key.member), zap.Error(err))
	}
	mine.found = found
	s.kept.Set(key, listed{found, err != nil})
	return found
}

// all gives the entries of some tools, in order. Of two with one name the first counts.
func (s *entries) all(ctx context.Context, caller services.Caller, tools []laid, kind listKind) []entry {
	found := make([][]json.RawMessage, len(tools))
	var looks errgroup.Group
	looks.SetLimit(lookAtOnce)
	for i, tool := range tools {
		looks.Go(func() error {
			found[i] = s.of(ctx, caller, tool.Offer, kind)
			return nil
		})
	}
	_ = looks.Wait() // none fails
	var all []entry
	for i, tool := range tools {
		for _, text := range found[i] {
			own := memberText(text, kind.key)
			name := kind.name(tool, own)
			if own == "" || name == "" {
				continue
			}
			if name != own {
				text = with(text, kind.key, mustJSON(name))
			}
			all = append(all, entry{name, text, tool, own})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return slices.CompactFunc(all, func(a, b entry) bool { return a.name == b.name })
}

func memberText(object json.RawMessage, name string) (text string) {
	upstream.Members(object, func(key, value []byte) {
		if string(key) == name && json.Unmarshal(value, &text) != nil {
			text = ""
		}
	})
	return text
}

// listEntries answers with one page of a list.
func (q *request) listEntries(ctx context.Context, kind listKind) {
	tools, err := q.shelf.offers(ctx, q.caller)
	if err != nil {
		q.fail(err)
		return
	}
	all := q.endpoint.entries.all(ctx, q.caller, tools, kind)
	q.page(kind.list.Member(), len(all), func(i int) (string, []byte) { return all[i].name, all[i].text })
}

func (q *request) listResources(ctx context.Context) { q.listEntries(ctx, resources) }
func (q *request) listTemplates(ctx context.Context) { q.listEntries(ctx, templates) }
func (q *request) listPrompts(ctx context.Context)   { q.listEntries(ctx, prompts) }
