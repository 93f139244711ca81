package mcpserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
)

// shelf is the tools behind one of the endpoint's addresses.
type shelf interface {
	// offers gives the tools that the caller may call, with how each is laid out.
	offers(ctx context.Context, caller services.Caller) ([]laid, error)
	// find gives the tool behind a method's name, and the method's own name. Kind NotFound.
	find(ctx context.Context, caller services.Caller, name string) (tool laid, own string, err error)
}

// laid is a tool on a shelf.
type laid struct {
	registry.Offer
	layout
}

// layout is how the names of a tool are written on a shelf.
type layout struct {
	prefix string              // "": names stay as they are
	names  map[string]string   // instead, by a method's own name
	only   map[string]struct{} // its methods; nil for all
}

// name is what a method is called on the shelf; "" when it is not there.
func (l layout) name(method string) string {
	if l.only != nil {
		if _, ok := l.only[method]; !ok {
			return ""
		}
	}
	if name := l.names[method]; name != "" {
		return name
	}
	if l.prefix == "" {
		return method
	}
	return registry.MethodName(l.prefix, method)
}

// mayCall reports whether anything of the tool can have a name on the shelf.
func (l layout) mayCall(name string) bool {
	return l.prefix == "" || len(l.names) > 0 || strings.HasPrefix(name, l.prefix+"_")
}

// own is the method that has a name on the shelf, among those of the tool.
func (l laid) own(name string) (string, bool) {
	if !l.mayCall(name) {
		return "", false
	}
	for _, m := range l.Methods {
		if l.name(m.Name) == name {
			return m.Name, true
		}
	}
	if !l.Pinned && l.only == nil { // any method may be called
		if l.prefix == "" {
			return name, true
		}
		return strings.CutPrefix(name, l.prefix+"__")
	}
	return "", false
}

// unknownMethod is told of names that nothing has, or nothing that the caller may call.
func unknownMethod(name string) error {
	return services.Errorf(services.NotFound, "Unknown tool: %.200s", name)
}

// everything is the shelf with all that the caller may call, as slug__method.
type everything struct {
	catalog   registry.Catalog
	workflows *workflows
	slugs     *otter.Cache[string, uuid.UUID] // a slug is one tool's for good
}

func newEverything(catalog registry.Catalog, workflows *workflows) *everything {
	return &everything{catalog, workflows, otter.Must(&otter.Options[string, uuid.UUID]{MaximumSize: 20_000})}
}

func (s *everything) close() { s.slugs.StopAllGoroutines() }

func (s *everything) offers(ctx context.Context, caller services.Caller) ([]laid, error) {
	ids, err := s.catalog.Visible(ctx, registry.VisibleRequest{Caller: caller})
	if err != nil {
		return nil, err
	}
	found, err := s.catalog.Offers(ctx, registry.ToolsRequest{IDs: ids})
	if err != nil {
		return nil, err
	}
	all := make([]laid, 0, len(found))
	for _, o := range found {
		if o.VisibleTo(caller) {
			s.slugs.Set(o.Slug, o.ToolID)
			all = append(all, bySlug(o))
		}
	}
	return s.workflows.lay(ctx, caller, all, bySlug), nil
}

// bySlug lays a tool out with its short name before the names of its methods.
func bySlug(o registry.Offer) laid { return laid{o, layout{prefix: o.Slug}} }

func (s *everything) find(ctx context.Context, caller services.Caller, name string) (laid, string, error) {
	slug, rest, ok := strings.Cut(name, "__")
	if !ok {
		return laid{}, "", unknownMethod(name)
	}
	offer, err := s.tool(ctx, caller, slug)
	if err != nil {
		if services.Is(err, services.NotFound) {
			err = unknownMethod(name)
		}
		return laid{}, "", err
	}
	tool := bySlug(offer)
	if slices.ContainsFunc(offer.Methods, func(m registry.Method) bool { return m.Name == rest }) && registry.MethodName(slug, rest) == name {
		return tool, rest, nil
	}
	if own, ok := tool.own(name); ok {
		return tool, own, nil
	}
	if slug == registry.Workflows { // which may be called otherwise by now
		if _, err := s.workflows.find(ctx, caller, rest); err != nil {
			return laid{}, "", err
		}
	}
	return laid{}, "", unknownMethod(name)
}

// tool gives the offer with a slug; kind NotFound.
func (s *everything) tool(ctx context.Context, caller services.Caller, slug string) (registry.Offer, error) {
	if slug == registry.Workflows {
		mine, err := s.workflows.of(ctx, caller)
		return mine.offer, err
	}
	id, known := s.slugs.GetIfPresent(slug)
	if !known {
		found, err := s.catalog.Callable(ctx, registry.CallableRequest{Caller: caller, Named: []string{slug}})
		if err != nil {
			return registry.Offer{}, err
		}
		for _, o := range found {
			if o.Slug == slug {
				s.slugs.Set(slug, o.ToolID)
				return o, nil
			}
		}
		return registry.Offer{}, unknownMethod(slug)
	}
	return offerOf(ctx, s.catalog, caller, id)
}

// offerOf gives a tool that the caller may call; kind NotFound.
func offerOf(ctx context.Context, catalog registry.Catalog, caller services.Caller, id uuid.UUID) (registry.Offer, error) {
	found, err := catalog.Offers(ctx, registry.ToolsRequest{IDs: []uuid.UUID{id}})
	if err != nil {
		return registry.Offer{}, err
	}
	if len(found) == 0 || !found[0].VisibleTo(caller) {
		return registry.Offer{}, services.Errorf(services.NotFound, "Tool not found")
	}
	return found[0], nil
}

// oneTool is the shelf with one tool, whose names stay as they are.
type oneTool struct {
	catalog registry.Catalog
	id      uuid.UUID
}

func (s oneTool) offers(ctx context.Context, caller services.Caller) ([]laid, error) {
	offer, err := offerOf(ctx, s.catalog, caller, s.id)
	if err != nil {
		return nil, err
	}
	return []laid{{offer, layout{}}}, nil
}

func (s oneTool) find(ctx context.Context, caller services.Caller, name string) (laid, string, error) {
	all, err := s.offers(ctx, caller)
	if err != nil {
		return laid{}, "", err
	}
	if own, ok := all[0].own(name); ok {
		return all[0], own, nil
	}
	return laid{}, "", unknownMethod(name)
}

// exposed is a method as tools/list shows it.
type exposed struct {
	name  string
	price int64
	text  []byte

	own, tool string // its own name, and its tool's
}

// printed keeps the texts of tools' methods, which are long and seldom change.
type printed struct {
	texts *otter.Cache[edition, []exposed]
	log   *zap.Logger
}

// edition is all that the texts of a tool's methods depend on.
type edition struct {
	tool      uuid.UUID
	version   int64
	digest    string
	checked   int64
	prices    int64
	methods   int
	withdrawn int
	prefix    string
}

func newPrinted(log *zap.Logger) *printed {
	return &printed{otter.Must(&otter.Options[edition, []exposed]{MaximumSize: 20_000}), log}
}

func (p *printed) close() { p.texts.StopAllGoroutines() }

// of gives a tool's methods on a shelf, without those that may not be called.
func (p *printed) of(tool laid) []exposed {
	key := edition{tool: tool.ToolID, version: tool.Version, digest: tool.Digest, checked: tool.CheckedAt.UnixNano(), prices: tool.Price, methods: len(tool.Methods), prefix: tool.prefix}
	for method, price := range tool.Prices {
		key.prices += price*31 + int64(len(method))
	}
	for _, m := range tool.Methods {
		if m.Difference != "" {
			key.withdrawn++
		}
	}
	usual := tool.names == nil && tool.only == nil
	if known, ok := p.texts.GetIfPresent(key); usual && ok {
		return known
	}
	made := make([]exposed, 0, len(tool.Methods))
	for _, m := range tool.Methods {
		name := tool.name(m.Name)
		if m.Difference != "" || name == "" {
			continue
		}
		text, err := definition(name, m.Method, tool.PriceOf(m.Name))
		if err != nil {
			p.log.Warn("a method is not listed: it can't be written", zap.String("tool", tool.Slug), zap.String("method", m.Name), zap.Error(err))
			continue
		}
		made = append(made, exposed{name, tool.PriceOf(m.Name), text, m.Name, tool.Name})
	}
	if usual {
		p.texts.Set(key, made)
	}
	return made
}

// definition is a method in MCP's words.
func definition(name string, m upstream.Method, price int64) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Name         string                `json:"name"`
		Title        string                `json:"title,omitempty"`
		Description  string                `json:"description,omitempty"`
		InputSchema  json.RawMessage       `json:"inputSchema"`
		OutputSchema json.RawMessage       `json:"outputSchema,omitempty"`
		Annotations  *upstream.Annotations `json:"annotations,omitempty"`
		Meta         map[string]int64      `json:"_meta"`
	}{name, m.Title, m.Description, m.InputSchema, m.OutputSchema, m.Annotations, map[string]int64{metaCredits: price}})
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

// exposures are all methods on a shelf, by name. Of two with one name the first counts.
func (p *printed) exposures(tools []laid, log *zap.Logger) []exposed {
	var all []exposed
	for _, tool := range tools {
		all = append(all, p.of(tool)...)
	}
	slices.SortStableFunc(all, func(a, b exposed) int { return cmp.Compare(a.name, b.name) })
	return slices.CompactFunc(all, func(a, b exposed) bool {
		if a.name == b.name {
			log.Info("two methods on one shelf have one name; the first is listed", zap.String("name", a.name))
		}
		return a.name == b.name
	})
}
