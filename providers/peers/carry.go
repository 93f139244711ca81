package peers

import (
	"context"
	"net/http"

	"uaol/providers/api"
	"uaol/providers/telemetry"
	"uaol/services"
)

// carry puts into a request's header what goes along with every request to a
// service of ours, called or passed on: the id under which it is
// logged, and the trace that it is part of.
func carry(ctx context.Context, header http.Header) {
	if id := services.RequestID(ctx); id != "" {
		header.Set(api.RequestHeader, id)
	}
	telemetry.Carry(ctx, header)
}
