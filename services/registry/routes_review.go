package registry

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

func (h *Handler) reviewOperations() []api.Operation {
	return []api.Operation{
		api.Get("/tools/review", "What waits for an admin: versions and changed methods, oldest first", h.queue, api.Allow(api.Admin)),
		api.Get("/tools/{toolId}/versions", "A tool's versions, newest first; for its owner and admins", h.versions),
		api.Get("/tools/{toolId}/history", "Who decided what about a tool, newest first; for its owner and admins", h.history),
		api.Get("/tools/{toolId}/diff", "What the version that waits changes, and what the server changed by itself; for its owner and admins", h.diff),
		api.Post("/tools/{toolId}/inspect", "Read what the tool's server lists now; for its owner and admins", h.inspect),
		api.Post("/tools/{toolId}/approve", "Put the newest version in force and pin its methods", h.approve, api.Allow(api.Admin), api.Audited("tool.approve")),
		api.Post("/tools/{toolId}/reject", "Turn the version that waits down", h.reject, api.Allow(api.Admin), api.Audited("tool.reject")),
		api.Post("/tools/{toolId}/disable", "End all calls to it", h.disable, api.Allow(api.Admin), api.Audited("tool.disable")),
	}
}

func (h *Handler) queue(ctx context.Context, _ services.Caller, in *struct{ api.Paging }) (api.Page[Review], error) {
	after, err := api.ReadCursor[waiting](in.Cursor)
	if err != nil {
		return api.Page[Review]{}, err
	}
	queue, err := h.service.Queue(ctx, after, in.Limit+1)
	return api.Cut(queue, in.Limit, func(r Review) any { return r.place }), err
}

type pagedToolInput struct {
	ID uuid.UUID `path:"toolId" format:"uuid"`
	api.Paging
}

func (h *Handler) versions(ctx context.Context, caller services.Caller, in *pagedToolInput) (api.Page[Version], error) {
	below, err := api.ReadCursor[int64](in.Cursor)
	if err != nil {
		return api.Page[Version]{}, err
	}
	if below == 0 {
		below = math.MaxInt64
	}
	versions, err := h.service.Versions(ctx, caller, in.ID, below, in.Limit+1)
	return api.Cut(versions, in.Limit, func(v Version) any { return v.Version }), err
}

func (h *Handler) history(ctx context.Context, caller services.Caller, in *pagedToolInput) (api.Page[Decided], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Decided, error) {
		return h.service.History(ctx, caller, in.ID, before, beforeID, limit)
	}, func(d Decided) (time.Time, uuid.UUID) { return d.Time.Time, d.ID })
}

func (h *Handler) diff(ctx context.Context, caller services.Caller, in *toolInput) (api.Data[Difference], error) {
	diff, err := h.service.Diff(ctx, caller, in.ID)
	return api.OK(diff), err
}

func (h *Handler) inspect(ctx context.Context, caller services.Caller, in *toolInput) (api.Data[Inspection], error) {
	found, err := h.service.Look(ctx, caller, in.ID)
	return api.OK(found), err
}

type approveInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Version  int64  `json:"version,omitempty" minimum:"1" doc:"that was looked at; without it the newest"`
		Digest   string `json:"digest,omitempty" maxLength:"64" doc:"of the methods that were looked at; without it whatever the server lists"`
		Reason   string `json:"reason,omitempty" maxLength:"2000"`
		Unpinned bool   `json:"unpinned,omitempty" doc:"approve it without reading its methods: any may be called, with any arguments"`
	}
}

func (h *Handler) approve(ctx context.Context, caller services.Caller, in *approveInput) (api.Message, error) {
	services.Note(ctx, "unpinned", strconv.FormatBool(in.Body.Unpinned))
	return api.Done("Tool approved successfully"), h.service.Approve(ctx, caller, in.ID, Decision{
		Version: in.Body.Version, Digest: in.Body.Digest, Reason: in.Body.Reason, Unpinned: in.Body.Unpinned,
	})
}

type rejectInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Version int64  `json:"version,omitempty" minimum:"1" doc:"that was looked at; without it the newest"`
		Reason  string `json:"reason" minLength:"1" maxLength:"2000" doc:"for the tool's owner"`
	}
}

func (h *Handler) reject(ctx context.Context, caller services.Caller, in *rejectInput) (api.Message, error) {
	return api.Done("Tool rejected successfully"), h.service.Reject(ctx, caller, in.ID, Decision{Version: in.Body.Version, Reason: in.Body.Reason})
}

type disableInput struct {
	ID   uuid.UUID `path:"toolId" format:"uuid"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"2000"`
	}
}

func (h *Handler) disable(ctx context.Context, caller services.Caller, in *disableInput) (api.Message, error) {
	return api.Done("Tool disabled successfully"), h.service.Disable(ctx, caller, in.ID, Decision{Reason: in.Body.Reason})
}
