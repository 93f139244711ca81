package registry

import (
	"context"
	"encoding/json"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

// importBody is the most that a document may have in a request, with JSON's
// quotes around YAML.
const importBody = 12 << 20

func (h *Handler) importOperations() []api.Operation {
	return []api.Operation{
		api.Post("/tools/import", "Register what a document describes: an MCP registry, a server.json, a client's mcpServers file, an OpenAPI document", h.importTools,
			api.MaxBody(importBody), api.Audited("tool.import")),
	}
}

type importInput struct {
	Body struct {
		Format     string          `json:"format" enum:"mcp-registry,server.json,mcp-servers,openapi"`
		URL        string          `json:"url,omitempty" maxLength:"2048" doc:"where the document is; of mcp-registry the registry's address, such as https://registry.example.com"`
		Document   json.RawMessage `json:"document,omitempty" doc:"the document itself instead; YAML as a text; of mcp-registry one page of its list"`
		Name       string          `json:"name,omitempty" maxLength:"100" doc:"of the tool, instead of the document's"`
		ClientID   string          `json:"client_id,omitempty" maxLength:"500" doc:"at the authorization server of an OpenAPI document that wants OAuth"`
		Since      *time.Time      `json:"updated_since,omitempty" doc:"of mcp-registry only what changed since; default: since the last whole import"`
		Price      *int64          `json:"credit_cost_per_call,omitempty" minimum:"0" maximum:"1000000000" doc:"of new tools, in whole credits; default 1"`
		Visibility Visibility      `json:"visibility,omitempty" enum:"public,organization,private" doc:"of new tools; default public"`
		DryRun     bool            `json:"dry_run,omitempty" doc:"say what would come of it, and keep nothing"`
		Cursor     string          `json:"cursor,omitempty" maxLength:"4096" doc:"next_cursor of the answer before"`
		Pages      int             `json:"pages,omitempty" minimum:"0" maximum:"10000" doc:"of mcp-registry at most so many; default all"`
	}
}

func (h *Handler) importTools(ctx context.Context, caller services.Caller, in *importInput) (api.Data[Imported], error) {
	b := in.Body
	request := Import{
		Format: b.Format, URL: b.URL, Document: documentOf(b.Document), Name: b.Name, ClientID: b.ClientID, Price: b.Price,
		Visibility: b.Visibility, DryRun: b.DryRun, Cursor: b.Cursor, Pages: b.Pages,
	}
	if b.Since != nil {
		request.Since = *b.Since
	}
	services.Note(ctx, "format", b.Format)
	out, err := h.service.Import(ctx, caller, request)
	return api.OK(out), err
}

// documentOf takes a document as JSON, or as a text with JSON or YAML in it.
func documentOf(raw json.RawMessage) []byte {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []byte(text)
	}
	if string(raw) == "null" {
		return nil
	}
	return raw
}
