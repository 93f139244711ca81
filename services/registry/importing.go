package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
	"uaol/services/registry/imports"
)

// The formats that tools are imported from.
const (
	formatRegistry   = "mcp-registry" // a registry's list of servers
	formatServer     = "server.json"  // one server of it
	formatMCPServers = "mcp-servers"  // a desktop client's file
	formatOpenAPI    = "openapi"
)

// Import is a request to register what a document describes.
type Import struct {
	Format     string
	URL        string // of the document, or of the registry; it names the source of a Document too
	Document   []byte // instead of fetching it
	Name       string // of the tool, instead of the document's, if it is one
	ClientID   string // at its authorization server, if it wants one
	Since      time.Time
	Price      *int64
	Visibility Visibility
	DryRun     bool
	Cursor     string // of a registry's import that is under way
	Pages      int    // of a registry at most; 0 for all
}

// Imported is what came of an import.
type Imported struct {
	Imported  int               `json:"imported" doc:"tools that are new; each waits for approval"`
	Updated   int               `json:"updated" doc:"tools that are different at their source now; what is called differs only once an admin has approved it"`
	Unchanged int               `json:"unchanged"`
	Disabled  int               `json:"disabled" doc:"tools that their source has taken back"`
	Skipped   []imports.Skipped `json:"skipped" doc:"what can't be called from here; the first thousand"`
	Tools     []ImportedTool    `json:"tools" doc:"those new or different; the first hundred"`
	Next      string            `json:"next_cursor,omitempty" doc:"there are further pages: ask again with it as cursor"`
	Pages     int               `json:"pages" doc:"that were read"`
}

// ImportedTool is a tool that an import touched.
type ImportedTool struct {
	ID      uuid.UUID `json:"tool_id"`
	Name    string    `json:"name"`
	Slug    string    `json:"slug"`
	Status  Status    `json:"status"`
	Source  string    `json:"source_name" doc:"what the document calls it"`
	Missing []string  `json:"secrets,omitempty" doc:"names of secrets that the document held; they were not stored, give them"`
}

const (
	batch       = 500  // entries of one transaction
	maxShown    = 100  // tools in an answer
	maxSkipped  = 1000 // reasons in an answer
	maxImported = 200  // entries of one document by somebody who is no platform admin
	onePage     = 100  // servers asked of a registry at a time
)

// parsing lets one large document be read at a time: some take seconds of CPU.
var parsing = make(chan struct{}, 1)

// Import registers what a document describes. What is new waits for approval, and
// so does a new version of what is known. Kinds: Invalid with the fault's path,
// Forbidden for what only platform admins import, Upstream and Timeout when the
// document can't be fetched.
func (s *Service) Import(ctx context.Context, caller services.Caller, in Import) (Imported, error) {
	if (len(in.Document) == 0) == (in.URL == "") && in.Format != formatRegistry {
		return Imported{}, services.Faults(services.Fault{Path: "body.document", Message: "or url is needed, and only one of them"})
	}
	if in.Format == formatRegistry {
		return s.importRegistry(ctx, caller, in)
	}
	if in.URL != "" {
		if err := s.policy.CheckURL(in.URL); err != nil {
			return Imported{}, atPath("body.url", err)
		}
		fetcher := newFetcher(s.policy)
		defer fetcher.close()
		var err error
		if in.Document, _, err = fetcher.get(ctx, in.URL); err != nil {
			return Imported{}, err
		}
	}
	entries, skipped, err := read(ctx, in)
	if err != nil {
		return Imported{}, atPath("body.document", err)
	}
	if len(entries) > maxImported && !caller.Admin() {
		return Imported{}, services.Faults(services.Fault{Path: "body.document", Message: "holds more servers than may be imported at once: 200"})
	}
	out := Imported{Skipped: skipped}
	err = s.store(ctx, caller, in, in.Format+":"+caller.Organization.String(), entries, &out)
	if err == nil && !in.DryRun {
		s.keepSecrets(ctx, caller, entries, &out)
	}
	return out.bounded(), err
}

// read parses a document that is no registry's.
func read(ctx context.Context, in Import) (entries []imports.Entry, skipped []imports.Skipped, err error) {
	select {
	case parsing <- struct{}{}:
		defer func() { <-parsing }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	switch in.Format {
	case formatMCPServers:
		entries, skipped, err = imports.MCPServers(in.Document)
	case formatOpenAPI:
		var entry imports.Entry
		entry, skipped, err = imports.OpenAPI(in.Document, in.URL)
		entries = []imports.Entry{entry}
	default:
		var entry imports.Entry
		entry, err = imports.Server(in.Document)
		entries = []imports.Entry{entry}
	}
	if err == nil && in.Name != "" && len(entries) == 1 {
		entries[0].Name = in.Name
	}
	return entries, skipped, err
}

// run is where a registry's import stands. It travels as the answer's cursor.
type run struct {
	Cursor  string    `json:"c"` // the registry's own
	Since   time.Time `json:"s"` // what was updated before it is known already
	Started time.Time `json:"t"` // by the registry's clock: what is updated later comes next time
	Whole   bool      `json:"w"` // nothing between the last import and this one is left out
}

// slack is how far an import goes back behind the start of the last one: pages
// are made while servers are being updated, and clocks differ.
const slack = time.Minute

// importRegistry reads a registry page by page, each stored before the next one
// is asked for. Only when all are in, the next import may begin where this began.
func (s *Service) importRegistry(ctx context.Context, caller services.Caller, in Import) (out Imported, err error) {
	if !caller.Admin() {
		return out, services.Errorf(services.Forbidden, "Only a platform admin may import a registry; a single server's server.json is for everybody")
	}
	base, err := registryURL(in.URL)
	if err != nil {
		return out, err
	}
	source := formatRegistry + ":" + base
	if len(in.Document) > 0 {
		page, err := imports.Servers(in.Document)
		if err != nil {
			return out, atPath("body.document", err)
		}
		out.Skipped, out.Pages = page.Skipped, 1
		err = s.store(ctx, caller, in, source, page.Entries, &out)
		return out.bounded(), err
	}
	if err := s.policy.CheckURL(base); err != nil {
		return out, atPath("body.url", err)
	}
	at, err := s.beginRun(ctx, in, source)
	if err != nil {
		return out, err
	}
	fetcher := newFetcher(s.policy)
	defer fetcher.close()
	seen := map[string]bool{}
	for {
		document, clock, err := fetcher.get(ctx, pageURL(base, at))
		if err != nil {
			return out.bounded(), err
		}
		page, err := imports.Servers(document)
		if err != nil {
			return out.bounded(), services.Errorf(services.Upstream, "%s does not answer as a registry: %s", base, messageOf(err))
		}
		if at.Started.IsZero() {
			at.Started = clock
		}
		out.Pages++
		out.Skipped = append(out.Skipped, page.Skipped...)
		if err := s.store(ctx, caller, in, source, page.Entries, &out); err != nil {
			return out.bounded(), err
		}
		at.Cursor = page.Next
		switch {
		case at.Cursor == "":
			return out.bounded(), s.endRun(ctx, in, source, at)
		case seen[at.Cursor]:
			return out.bounded(), services.Errorf(services.Upstream, "%s gives the same page again and again", base)
		case in.Pages > 0 && out.Pages >= in.Pages:
			out.Next = at.text()
			return out.bounded(), nil
		}
		seen[at.Cursor] = true
	}
}

// registryURL is a registry's address without the path of its list.
func registryURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", services.Faults(services.Fault{Path: "body.url", Message: "must be the registry's address, such as https://registry.example.com"})
	}
	return strings.TrimSuffix(strings.TrimRight(text, "/"), "/v0.1/servers"), nil
}

func pageURL(base string, at run) string {
	query := url.Values{"limit": {"100"}, "version": {"latest"}}
	if !at.Since.IsZero() {
		query.Set("updated_since", at.Since.UTC().Format(time.RFC3339))
	}
	if at.Cursor != "" {
		query.Set("cursor", at.Cursor)
	}
	return base + "/v0.1/servers?" + query.Encode()
}

// beginRun goes on with a run, or finds where a new one starts.
func (s *Service) beginRun(ctx context.Context, in Import, source string) (at run, err error) {
	if in.Cursor != "" {
		return readRun(in.Cursor)
	}
	before, err := s.repository.watermark(ctx, source)
	if err != nil {
		return at, err
	}
	at = run{Since: before, Whole: true}
	if !in.Since.IsZero() {
		at.Since, at.Whole = in.Since, !before.IsZero() && !in.Since.After(before)
	}
	return at, nil
}

// endRun remembers where the next import begins.
func (s *Service) endRun(ctx context.Context, in Import, source string, at run) error {
	if in.DryRun || !at.Whole {
		return nil
	}
	return s.repository.setWatermark(ctx, source, at.Started.Add(-slack))
}

// definition is what calls of the entry are, with what of an earlier version its
// source has no say in.
func (in Import) definition(e imports.Entry, before *Definition) Definition {
	d := Definition{Price: 1, Visibility: Public}
	if before != nil {
		d = *before
	} else {
		set(&d.Price, in.Price)
		if in.Visibility != "" {
			d.Visibility = in.Visibility
		}
	}
	d.GatewayURL, d.Protocol, d.Command = e.GatewayURL, e.Protocol, e.Command
	d.Inject, d.Operations = e.Inject, e.Operations
	d.OAuth = nil
	if e.OAuth != nil {
		o := *e.OAuth
		o.ClientID = in.ClientID
		if before != nil && before.OAuth != nil && in.ClientID == "" {
			o.ClientID = before.OAuth.ClientID
		}
		d.OAuth = &o
	}
	return d
}

// fits says why an entry can't be taken; "" when it can.
func (s *Service) fits(caller services.Caller, e imports.Entry, d Definition) string {
	if d.Protocol == upstream.ProtocolStdio && !caller.Admin() {
		return "it is a command to be run here, which only a platform admin may import"
	}
	text, err := json.Marshal(d)
	if err != nil || bytes.Contains(text, []byte(`\u0000`)) {
		return "it holds a text that can't be stored"
	}
	if d.OAuth != nil && d.OAuth.ClientID == "" {
		return "it wants OAuth: say the client's id there as client_id"
	}
	if err := d.check(s.policy); err != nil {
		return strings.TrimPrefix(messageOf(err), "body.")
	}
	return ""
}

// store registers entries, some hundred in each transaction. A repetition finds
// what is stored already unchanged.
func (s *Service) store(ctx context.Context, caller services.Caller, in Import, source string, entries []imports.Entry, out *Imported) error {
	for len(entries) > 0 {
		part := entries[:min(len(entries), batch)]
		entries = entries[len(part):]
		if err := s.storeBatch(ctx, caller, in, source, part, out); err != nil {
			return err
		}
	}
	return nil
}

var errDryRun = errors.New("nothing is kept")

func (s *Service) storeBatch(ctx context.Context, caller services.Caller, in Import, source string, entries []imports.Entry, out *Imported) error {
	b, err := s.repository.importBatch(ctx, source, caller, entries, in.DryRun, func(e imports.Entry, before *Definition) (Definition, string) {
		d := in.definition(e, before)
		return d, s.fits(caller, e, d)
	})
	if err != nil {
		return err
	}
	s.bus.Publish(b.happened...)
	out.Imported += len(b.fresh)
	out.Updated += len(b.changed)
	out.Unchanged += b.unchanged
	out.Disabled += len(b.gone)
	out.Skipped = append(out.Skipped, b.skipped...)
	for _, list := range [][]*arrival{b.fresh, b.changed} {
		for _, a := range list {
			if len(out.Tools) < maxShown {
				out.Tools = append(out.Tools, ImportedTool{ID: a.id, Name: a.entry.Name, Slug: a.slug, Status: a.status, Source: a.entry.SourceName})
			}
		}
	}
	return nil
}

// bounded is the answer as it is sent: lists that are lists, and not endless.
func (o Imported) bounded() Imported {
	if o.Skipped == nil {
		o.Skipped = []imports.Skipped{}
	}
	if o.Tools == nil {
		o.Tools = []ImportedTool{}
	}
	o.Skipped = o.Skipped[:min(len(o.Skipped), maxSkipped)]
	return o
}

// keepSecrets stores the secrets that a document held as those of its tools.
// What can't be stored is named in the answer, for people to give it.
func (s *Service) keepSecrets(ctx context.Context, caller services.Caller, entries []imports.Entry, out *Imported) {
	held := map[string]imports.Entry{}
	for _, e := range entries {
		held[e.SourceName] = e
	}
	for i := range out.Tools {
		tool := &out.Tools[i]
		e := held[tool.Source]
		of := Tool{ID: tool.ID, Name: tool.Name, Organization: caller.Organization, Developer: caller.Account}.
			credentialed(Definition{GatewayURL: e.GatewayURL, Command: e.Command, Inject: e.Inject, OAuth: e.OAuth})
		for name, value := range e.Secrets {
			_, err := s.wallet.Set(ctx, caller, of, credentials.SetRequest{Name: name, Value: value, Scope: "tool"})
			if err != nil {
				tool.Missing = append(tool.Missing, name)
			}
		}
	}
}
