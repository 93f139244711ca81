package jobs

import (
	"context"

	"uaol/providers/api"
	"uaol/providers/minutes"
	"uaol/services"
)

func (h *Handler) statistics(ctx context.Context, caller services.Caller, in *struct{ minutes.Query }) (api.Page[Statistics], error) {
	all, err := h.service.Statistics(ctx, caller, in.Query)
	return api.List(all, ""), err
}
