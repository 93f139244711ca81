package registry

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Subregistry shows the approved public tools in the official MCP registry's
// API, for reading: clients and other registries know that one.
type Subregistry struct {
	repository *Repository
	public     *url.URL // where clients reach us
	namespace  string
}

// NewSubregistry makes a Subregistry.
func NewSubregistry(repository *Repository, cfg credentials.Config) (*Subregistry, error) {
	public, err := url.Parse(strings.TrimRight(cfg.PublicURL, "/"))
	if err != nil {
		return nil, err
	}
	return &Subregistry{repository: repository, public: public, namespace: namespaceOf(public.Hostname())}, nil
}

// namespaceOf is a host in the reverse order in which the format has it.
func namespaceOf(host string) string {
	if net.ParseIP(host) != nil || host == "" {
		return "local"
	}
	labels := strings.Split(host, ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

func (r *Subregistry) operations() []api.Operation {
	return []api.Operation{
		api.Get("/v0.1/servers", "Approved public tools, as an MCP registry lists servers", r.list, api.Allow(api.Public)),
		api.Get("/v0.1/servers/{namespace}/{server}/versions", "The versions of a tool, as an MCP registry lists them; the server's name may be escaped", r.versions, api.Allow(api.Public)),
		api.Get("/v0.1/servers/{namespace}/{server}/versions/{version}", "A version of a tool as an MCP registry's server.json; latest is the one in force", r.version, api.Allow(api.Public)),
	}
}

// What the format says: https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json
const (
	serverSchema = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
	officialMeta = "io.modelcontextprotocol.registry/official"
	ourMeta      = "io.modelcontextprotocol.registry/publisher-provided"
	mostText     = 100 // characters of a description
)

type serverList struct {
	Servers  []serverEntry `json:"servers"`
	Metadata struct {
		Next  string `json:"nextCursor,omitempty"`
		Count int    `json:"count"`
	} `json:"metadata"`
}

type serverEntry struct {
	Server serverDetail          `json:"server"`
	Meta   map[string]serverMeta `json:"_meta"`
}

type serverDetail struct {
	Schema      string                    `json:"$schema"`
	Name        string                    `json:"name"`
	Title       string                    `json:"title,omitempty"`
	Description string                    `json:"description"`
	Version     string                    `json:"version"`
	WebsiteURL  string                    `json:"websiteUrl,omitempty"`
	Remotes     []serverRemote            `json:"remotes"`
	Meta        map[string]map[string]any `json:"_meta"`
}

type serverRemote struct {
	Type    string         `json:"type"`
	URL     string         `json:"url"`
	Headers []serverHeader `json:"headers"`
}

type serverHeader struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    bool   `json:"isRequired"`
	Secret      bool   `json:"isSecret"`
}

type serverMeta struct {
	Status    string    `json:"status"`
	Published time.Time `json:"publishedAt"`
	Updated   time.Time `json:"updatedAt"`
	Latest    bool      `json:"isLatest"`
}

// published is a version that is or was in force.
type published struct {
	ID            uuid.UUID `db:"tool_id"`
	Slug          string    `db:"slug"`
	Name          string    `db:"name"`
	Description   string    `db:"description"`
	Documentation string    `db:"documentation_url"`
	Tags          []string  `db:"tags"`
	Price         int64     `db:"credit_cost_per_call"`
	Status        Status    `db:"status"`
	Version       int64     `db:"version"`
	Latest        bool      `db:"latest"`
	Created       time.Time `db:"created_at"`
	Updated       time.Time `db:"updated_at"`
}

type subregistryInput struct {
	Limit   int       `query:"limit" default:"30" minimum:"1" maximum:"100" doc:"at most so many"`
	Cursor  string    `query:"cursor" maxLength:"500" doc:"metadata.nextCursor of the page before"`
	Search  string    `query:"search" maxLength:"200" doc:"a part of the name"`
	Since   time.Time `query:"updated_since" doc:"only what changed since, with what has been disabled as deleted"`
	Version string    `query:"version" maxLength:"255" doc:"latest, which is all that is listed"`
}

func (r *Subregistry) list(ctx context.Context, _ services.Caller, in *subregistryInput) (list serverList, err error) {
	after, err := api.ReadCursor[string](in.Cursor)
	if err != nil {
		return list, err
	}
	var since *time.Time
	if !in.Since.IsZero() {
		since = &in.Since
	}
	rows, err := r.repository.publicTools(ctx, after, in.Search, since, in.Limit+1)
	if err != nil {
		return list, err
	}
	page := api.Cut(rows, in.Limit, func(row published) any { return row.Slug })
	list.Servers = []serverEntry{}
	for _, row := range page.Data {
		if in.Version == "" || in.Version == "latest" || in.Version == versionText(row.Version) {
			list.Servers = append(list.Servers, r.entry(row))
		}
	}
	list.Metadata.Next, list.Metadata.Count = page.NextCursor, len(list.Servers)
	return list, nil
}

type serverInput struct {
	Namespace string `path:"namespace" maxLength:"200"`
	Server    string `path:"server" maxLength:"200"`
}

func (r *Subregistry) versions(ctx context.Context, _ services.Caller, in *serverInput) (list serverList, err error) {
	rows, err := r.published(ctx, in.Namespace, in.Server)
	if err != nil {
		return list, err
	}
	for _, row := range rows {
		list.Servers = append(list.Servers, r.entry(row))
	}
	list.Metadata.Count = len(rows)
	return list, nil
}

type serverVersionInput struct {
	Namespace string `path:"namespace" maxLength:"200"`
	Server    string `path:"server" maxLength:"200"`
	Version   string `path:"version" maxLength:"255"`
}

func (r *Subregistry) version(ctx context.Context, _ services.Caller, in *serverVersionInput) (serverEntry, error) {
	rows, err := r.published(ctx, in.Namespace, in.Server)
	if err != nil {
		return serverEntry{}, err
	}
	for _, row := range rows {
		if versionText(row.Version) == in.Version || in.Version == "latest" && row.Latest {
			return r.entry(row), nil
		}
	}
	return serverEntry{}, errNoServer
}

var errNoServer = services.Errorf(services.NotFound, "Server not found")

func (r *Subregistry) published(ctx context.Context, namespace, name string) ([]published, error) {
	if namespace != r.namespace {
		return nil, errNoServer
	}
	rows, err := r.repository.publicVersions(ctx, name)
	if err == nil && len(rows) == 0 {
		err = errNoServer
	}
	return rows, err
}

func versionText(version int64) string { return "1.0." + strconv.FormatInt(version, 10) }

func (r *Subregistry) entry(row published) serverEntry {
	status := "active"
	if row.Status != Approved {
		status = "deleted"
	}
	description := shortened(row.Description)
	if description == "" {
		description = shortened(row.Name)
	}
	return serverEntry{
		Server: serverDetail{
			Schema: serverSchema, Name: r.namespace + "/" + row.Slug, Title: shortened(row.Name), Description: description,
			Version: versionText(row.Version), WebsiteURL: row.Documentation,
			Remotes: []serverRemote{{
				Type: "streamable-http", URL: fmt.Sprintf("%s/mcp/t/%s", r.public, row.ID),
				Headers: []serverHeader{{Name: "X-API-Key", Description: "API key of an account here", Required: true, Secret: true}},
			}},
			Meta: map[string]map[string]any{ourMeta: {"tool_id": row.ID, "credit_cost_per_call": row.Price, "tags": row.Tags}},
		},
		Meta: map[string]serverMeta{officialMeta: {Status: status, Published: row.Created.UTC(), Updated: row.Updated.UTC(), Latest: row.Latest}},
	}
}

// shortened cuts a text at a whole character, on one line.
func shortened(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > mostText {
		return string(runes[:mostText-1]) + "…"
	}
	return string(runes)
}

// publicTools lists what everybody may call, by slug. Since a moment, it lists
// what has been disabled after it was approved too.
func (r *Repository) publicTools(ctx context.Context, after, search string, since *time.Time, limit int) ([]published, error) {
	return postgres.All[published](ctx, r.pool, `
		SELECT tool_id, slug, name, description, documentation_url, tags, credit_cost_per_call, status, version, true AS latest, created_at, updated_at
		FROM uaol_registry.tools t
		WHERE slug > $1::text AND visibility = 'public'
			AND (status = 'Approved' OR ($3::timestamptz IS NOT NULL AND status = 'Disabled'
				AND EXISTS (SELECT 1 FROM uaol_registry.decisions d WHERE d.tool_id = t.tool_id AND d.act = 'approved')))
			AND ($2::text = '' OR strpos(lower(slug || ' ' || name), lower($2::text)) > 0) AND ($3::timestamptz IS NULL OR updated_at >= $3::timestamptz)
		ORDER BY slug LIMIT $4`, after, search, since, limit)
}

// publicVersions lists a tool's versions that are or were in force, newest first.
func (r *Repository) publicVersions(ctx context.Context, slug string) ([]published, error) {
	return postgres.All[published](ctx, r.pool, `
		SELECT t.tool_id, t.slug, t.name, t.description, t.documentation_url, t.tags, (v.definition->>'credit_cost_per_call')::bigint AS credit_cost_per_call,
			t.status, v.version, v.version = t.version AS latest, v.created_at, COALESCE(v.decided_at, v.created_at) AS updated_at
		FROM uaol_registry.tools t JOIN uaol_registry.versions v ON v.tool_id = t.tool_id
		WHERE t.slug = $1::text AND t.status = 'Approved' AND t.visibility = 'public' AND (v.version = t.version
			OR EXISTS (SELECT 1 FROM uaol_registry.decisions d WHERE d.tool_id = t.tool_id AND d.version = v.version AND d.act = 'approved'))
		ORDER BY v.version DESC LIMIT 200`, slug)
}
