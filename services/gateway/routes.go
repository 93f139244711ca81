package gateway

import (
	"context"
	"slices"
	"sync"

	"uaol/providers/api"
	"uaol/providers/health"
	"uaol/providers/httpserver"
	"uaol/services"
	"uaol/services/gateway/chat"
	"uaol/services/gateway/speech"
)

// Handler is the gateway's own part of the API.
type Handler struct {
	identity  httpserver.Identity
	checks    *health.Checks
	upstreams Upstreams
}

// NewHandler makes a Handler.
func NewHandler(identity httpserver.Identity, checks *health.Checks, upstreams Upstreams) *Handler {
	return &Handler{identity: identity, checks: checks, upstreams: upstreams}
}

// Operations is the gateway's own part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), (*chat.Handler)(nil).Operations(), (*speech.Handler)(nil).Operations(), (*ConfigurationHandler)(nil).Operations())
}

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Get("/services", "What runs here and how it is", h.services, api.Allow(api.Public)),
	}
}

type serviceBody struct {
	Name  services.Name `json:"name"`
	Here  bool          `json:"here" doc:"it runs in the gateway's own process"`
	Ready bool          `json:"ready"`
}

func (h *Handler) services(ctx context.Context, _ services.Caller, _ *struct{}) (api.Page[serviceBody], error) {
	_, ready := h.checks.Run(ctx)
	var found []serviceBody
	for _, name := range h.identity.Set {
		found = append(found, serviceBody{Name: name, Here: true, Ready: ready})
	}
	remote := make([]serviceBody, len(h.upstreams))
	var wait sync.WaitGroup
	for i, u := range h.upstreams {
		wait.Go(func() { remote[i] = serviceBody{Name: u.Peer.Service(), Ready: u.Peer.Ready(ctx)} })
	}
	wait.Wait()
	return api.List(append(found, remote...), ""), nil
}
