package registry

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Handler is the registry over HTTP.
type Handler struct {
	service  *Service
	showcase *Showcase
}

// NewHandler makes a Handler.
func NewHandler(service *Service, showcase *Showcase) *Handler {
	return &Handler{service: service, showcase: showcase}
}

// Operations is the registry's part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), (*Handler)(nil).importOperations(), (*Subregistry)(nil).operations(), (*credentials.Handler)(nil).Operations(),
		events.NewOutbox(services.Registry).Administration(nil, events.Outlet{}))
}

const required = "Name and gateway_url are required"

func (h *Handler) operations() []api.Operation {
	return slices.Concat([]api.Operation{
		api.Get("/tools", "Tools that the caller may call, by name, or looked for", h.list, api.Allow(api.Public)),
		api.Get("/tools/{toolId}", "One tool", h.get, api.Allow(api.Public)).AtHand(h.show),
		api.Get("/tools/my/tools", "The caller's own tools, newest first", h.own),
		api.Post("/tools", "Register a tool", h.register, api.Status(http.StatusCreated), api.Audited("tool.register"),
			api.Says("body.name", required), api.Says("body.gateway_url", required)),
		api.Put("/tools/{toolId}", "Change a tool of one's own: what is called or paid for waits for approval, while the old version goes on", h.update,
			api.Audited("tool.update")),
		api.Delete("/tools/{toolId}", "Disable a tool of one's own", h.delete, api.Audited("tool.delete")),
	}, h.reviewOperations())
}

type toolInput struct {
	ID uuid.UUID `path:"toolId" format:"uuid"`
}

type listInput struct {
	api.Paging
	Question string   `query:"q" maxLength:"200" doc:"words that tools' names, descriptions and tags begin with"`
	Tags     []string `query:"tag,explode" maxItems:"20" doc:"tags that tools must have, each of them"`
	Owner    string   `query:"owner" maxLength:"36" doc:"whose tools: an organisation's or account's id, or me"`
	Status   string   `query:"status" maxLength:"20" doc:"Approved, or of the caller's own organisation (of everybody's for platform admins) Pending, Rejected or Disabled"`
}

// nameCursor is the cursor of a list by name.
type nameCursor struct {
	Name string
	ID   uuid.UUID
}

func (h *Handler) list(ctx context.Context, caller services.Caller, in *listInput) (api.Page[Tool], error) {
	after, err := api.ReadCursor[nameCursor](in.Cursor)
	if err != nil {
		return api.Page[Tool]{}, err
	}
	search, ok, err := in.search(caller)
	if err != nil || !ok {
		return api.List[Tool](nil, ""), err
	}
	search.After, search.AfterID, search.Limit = after.Name, after.ID, in.Limit+1
	tools, err := h.service.Find(ctx, search)
	return api.Cut(tools, in.Limit, func(t Tool) any { return nameCursor{t.Name, t.ID} }), err
}

// search reads what is looked for; ok is false when it can't be anywhere.
func (in *listInput) search(caller services.Caller) (s Search, ok bool, err error) {
	s = Search{Caller: caller, Status: Approved}
	if in.Status != "" {
		status, known := statusOf(in.Status)
		if !known {
			return s, false, services.Faults(services.Fault{Path: "query.status", Message: "must be Approved, Pending, Rejected or Disabled"})
		}
		// Of others than the approved ones nobody is shown to strangers: as in the
		// original, their question is for the approved ones.
		if caller.Known() {
			s.Status, s.Own = status, status != Approved && !caller.Admin()
		}
	}
	switch {
	case in.Owner == "me" && !caller.Known():
		return s, false, services.Faults(services.Fault{Path: "query.owner", Message: "nobody is signed in who could be me"})
	case in.Owner == "me":
		s.Owner = caller.Account
	case in.Owner != "":
		if s.Owner, err = uuid.Parse(in.Owner); err != nil {
			return s, false, services.Faults(services.Fault{Path: "query.owner", Message: "must be an id, or me"})
		}
	}
	s.Question, ok = questionOf(in.Question, in.Tags)
	return s, ok, nil
}

// statusOf reads a status, in whatever case clients write it.
func statusOf(text string) (Status, bool) {
	for _, status := range []Status{Approved, Pending, Rejected, Disabled} {
		if strings.EqualFold(text, string(status)) {
			return status, true
		}
	}
	return "", false
}

func (h *Handler) own(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Tool], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Tool, error) {
		return h.service.Own(ctx, caller, before, beforeID, limit)
	}, func(row Tool) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *toolInput) (api.Data[Tool], error) {
	asked := time.Now()
	tool, err := h.service.Show(ctx, caller, in.ID)
	if err == nil {
		err = h.showcase.keep(caller, tool, asked)
	}
	return api.OK(tool), err
}

// show answers with a page that is at hand.
func (h *Handler) show(c *gin.Context, caller services.Caller) bool {
	id, err := uuid.Parse(c.Param("toolId"))
	if err != nil {
		return false
	}
	body, ok := h.showcase.find(id, caller)
	if ok {
		api.WriteJSON(c, body)
	}
	return ok
}

// credits is a price on the wire.
type credits int64

// UnmarshalJSON takes a whole number in any of JSON's spellings, such as 1.0.
func (c *credits) UnmarshalJSON(text []byte) error {
	value, err := strconv.ParseInt(string(text), 10, 64)
	if float, bad := strconv.ParseFloat(string(text), 64); err != nil {
		if bad != nil || float != math.Trunc(float) || math.Abs(float) > 1<<53 {
			return errors.New("must be a whole number of credits")
		}
		value = int64(float)
	}
	*c = credits(value)
	return nil
}

// Schema implements huma.SchemaProvider: a map's values take no tags.
func (credits) Schema(huma.Registry) *huma.Schema {
	least, most := 0.0, float64(MaxPrice)
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least, Maximum: &most}
}

// erasable is a member that null takes away.
type erasable[T any] struct{ value **T }

// UnmarshalJSON notes that the member is there.
func (e *erasable[T]) UnmarshalJSON(text []byte) error {
	var value *T
	e.value = &value
	return json.Unmarshal(text, &value)
}

// Schema implements huma.SchemaProvider.
func (erasable[T]) Schema(r huma.Registry) *huma.Schema {
	schema := huma.SchemaFromType(r, reflect.TypeFor[T]())
	schema.Nullable = true
	return schema
}

// ChangeBody is a Change on the wire.
type ChangeBody struct {
	Description      *string                     `json:"description,omitempty" maxLength:"20000"`
	Tags             *[]string                   `json:"tags,omitempty" maxItems:"100" doc:"at most 20, each of a-z, 0-9 and -, at most 40 characters"`
	DocumentationURL *string                     `json:"documentation_url,omitempty" maxLength:"2048"`
	Price            *credits                    `json:"credit_cost_per_call,omitempty" doc:"whole credits; default 1"`
	Prices           *map[string]credits         `json:"method_costs,omitempty" doc:"of single methods, instead of credit_cost_per_call"`
	Visibility       *Visibility                 `json:"visibility,omitempty" enum:"public,organization,private" doc:"who finds and calls it; default public"`
	Inject           *credentials.Injection      `json:"inject,omitempty" doc:"where secrets go; {} takes all away"`
	OAuth            erasable[credentials.OAuth] `json:"oauth,omitzero" doc:"how tokens for it are got; null takes that away"`
	Limits           erasable[Limits]            `json:"limits,omitzero" doc:"null takes them away"`
	Command          erasable[upstream.Command]  `json:"command,omitzero" doc:"of a stdio tool; platform admins only"`
	Egress           *[]string                   `json:"egress,omitempty" maxItems:"10" doc:"host:port that this tool alone may be at although it is not public; platform admins only"`
}

func (b ChangeBody) change() Change {
	c := Change{
		Description: b.Description, Tags: b.Tags, DocumentationURL: b.DocumentationURL, Price: (*int64)(b.Price), Visibility: b.Visibility,
		Inject: b.Inject, OAuth: b.OAuth.value, Limits: b.Limits.value, Command: b.Command.value, Egress: b.Egress,
	}
	if b.Prices != nil {
		prices := map[string]int64{}
		for name, price := range *b.Prices {
			prices[name] = int64(price)
		}
		c.Prices = &prices
	}
	return c
}

type registerInput struct {
	api.Once
	Body struct {
		Name       string  `json:"name" minLength:"1" maxLength:"100"`
		GatewayURL *string `json:"gateway_url,omitempty" minLength:"1" maxLength:"2048" doc:"needed, but for a command"`
		Protocol   *string `json:"protocol,omitempty" enum:"mcp,sse,stdio,json-rpc,rest" doc:"default mcp; stdio for a command"`
		ChangeBody
	}
}

func (h *Handler) register(ctx context.Context, caller services.Caller, in *registerInput) (api.Data[Tool], error) {
	change := in.Body.change()
	change.Name, change.GatewayURL, change.Protocol = &in.Body.Name, in.Body.GatewayURL, in.Body.Protocol
	stdio := upstream.ProtocolStdio
	if change.Protocol == nil && change.Command != nil && *change.Command != nil {
		change.Protocol = &stdio
	}
	if change.GatewayURL == nil && (change.Protocol == nil || *change.Protocol != stdio) {
		return api.Data[Tool]{}, services.Errorf(services.Invalid, required).WithDetails([]services.Fault{{Path: "body.gateway_url", Message: required}})
	}
	tool, err := h.service.Register(ctx, caller, change)
	noteTool(ctx, tool, err)
	return api.OK(tool), err
}

type updateInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Name       *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		GatewayURL *string `json:"gateway_url,omitempty" minLength:"1" maxLength:"2048"`
		Protocol   *string `json:"protocol,omitempty" enum:"mcp,sse,stdio,json-rpc,rest"`
		ChangeBody
	}
}

func (h *Handler) update(ctx context.Context, caller services.Caller, in *updateInput) (api.Data[Tool], error) {
	change := in.Body.change()
	change.Name, change.GatewayURL, change.Protocol = in.Body.Name, in.Body.GatewayURL, in.Body.Protocol
	tool, err := h.service.Update(ctx, caller, in.ID, change)
	noteTool(ctx, tool, err)
	return api.OK(tool), err
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *toolInput) (api.Message, error) {
	return api.Done("Tool deleted successfully"), h.service.Delete(ctx, caller, in.ID)
}

// noteTool tells the audit log which tool an act was about.
func noteTool(ctx context.Context, tool Tool, err error) {
	if err == nil {
		services.Note(ctx, "toolId", tool.ID.String())
		services.Note(ctx, "gatewayUrl", tool.GatewayURL)
	}
}
