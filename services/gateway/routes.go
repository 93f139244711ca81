package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"uaol/providers/api"
	"uaol/providers/health"
	"uaol/providers/httpserver"
	"uaol/services"
)

// Handler is the gateway's own part of the API.
type Handler struct {
	identity  httpserver.Identity
	checks    *health.Checks
	upstreams Upstreams
	http      *http.Client
}

// NewHandler makes a Handler.
func NewHandler(identity httpserver.Identity, checks *health.Checks, upstreams Upstreams) *Handler {
	return &Handler{identity: identity, checks: checks, upstreams: upstreams, http: &http.Client{Timeout: 2 * time.Second}}
}

// Operations is the gateway's own part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).operations() }

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
		wait.Go(func() { remote[i] = serviceBody{Name: u.Peer.Service(), Ready: h.ready(ctx, u)} })
	}
	wait.Wait()
	return api.List(append(found, remote...), ""), nil
}

func (h *Handler) ready(ctx context.Context, u Upstream) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Peer.Pick().JoinPath("readyz").String(), nil)
	if err != nil {
		return false
	}
	response, err := h.http.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}
