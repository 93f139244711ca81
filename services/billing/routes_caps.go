package billing

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

func (h *Handler) caps(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Cap], error) {
	after, err := api.ReadCursor[CapID](in.Cursor)
	if err != nil {
		return api.Page[Cap]{}, err
	}
	caps, err := h.service.Caps(ctx, caller, after, in.Limit+1)
	return api.Cut(caps, in.Limit, func(c Cap) any { return c.CapID }), err
}

type capInput struct {
	Body struct {
		Scope   Scope     `json:"scope" enum:"organization,member,key"`
		Subject uuid.UUID `json:"subjectId,omitempty" format:"uuid" doc:"the account or the key; not needed for the organisation"`
		Period  Period    `json:"period" enum:"day,month" doc:"by the calendar of UTC"`
		Amount  int64     `json:"amount" minimum:"0" doc:"credits; what was spent in the period so far counts"`
	}
}

func (h *Handler) setCap(ctx context.Context, caller services.Caller, in *capInput) (api.Data[Cap], error) {
	set, err := h.service.SetCap(ctx, caller, CapID{Scope: in.Body.Scope, Subject: in.Body.Subject, Period: in.Body.Period}, in.Body.Amount)
	return api.OK(set), err
}

type capIDInput struct {
	Scope   Scope     `query:"scope" required:"true" enum:"organization,member,key"`
	Subject uuid.UUID `query:"subjectId" format:"uuid" doc:"the account or the key; not needed for the organisation"`
	Period  Period    `query:"period" required:"true" enum:"day,month"`
}

func (h *Handler) removeCap(ctx context.Context, caller services.Caller, in *capIDInput) (api.Message, error) {
	return api.Done("The cap is removed"), h.service.RemoveCap(ctx, caller, CapID{Scope: in.Scope, Subject: in.Subject, Period: in.Period})
}

type transferInput struct {
	Body struct {
		Organization uuid.UUID `json:"organizationId" format:"uuid" doc:"a shared organisation, which X-Organization names too"`
		Amount       int64     `json:"amount" minimum:"1"`
		Operation    uuid.UUID `json:"operationId" format:"uuid" doc:"chosen by the caller; repeated, it counts once"`
	}
}

type transferBody struct {
	Credits             string `json:"credits" doc:"what is left of the caller's own"`
	OrganizationCredits string `json:"organizationCredits" doc:"what the organisation has now"`
}

func (h *Handler) transfer(ctx context.Context, caller services.Caller, in *transferInput) (api.Data[transferBody], error) {
	from, to, err := h.service.Transfer(ctx, caller, TransferRequest{Organization: in.Body.Organization, Amount: in.Body.Amount, Operation: in.Body.Operation})
	return api.OK(transferBody{Credits: strconv.FormatInt(from.Available, 10), OrganizationCredits: strconv.FormatInt(to.Available, 10)}), err
}
