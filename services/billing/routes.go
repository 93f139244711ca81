package billing

import (
	"context"
	"strconv"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is billing over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is billing's part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).operations() }

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Get("/credits/balance", "Credits that can be spent now", h.balance),
		api.Get("/billing/subscription", "The caller's tier", h.subscription),

		api.Get("/billing/caps", "Spend caps of the organisation", h.caps),
		api.Put("/billing/caps", "Set a spend cap", h.setCap, api.Needs(services.OrgAdmin), api.Audited("cap.set")),
		api.Delete("/billing/caps", "Remove a spend cap", h.removeCap, api.Needs(services.OrgAdmin), api.Audited("cap.remove")),
		api.Post("/credits/transfer", "Move one's own credits to a shared organisation", h.transfer, api.Audited("credits.transfer")),
	}
}

// internal is for other services only.
func (h *Handler) internal() []api.Operation {
	return []api.Operation{
		api.Internal("/internal/billing/balance", h.service.Balance),
		api.Internal("/internal/billing/hold", h.service.Hold),
		api.Internal("/internal/billing/settle", h.service.Settle),
		api.Internal("/internal/billing/release", h.service.Release),
		api.Internal("/internal/billing/abandoned", h.service.Abandoned),
		api.Internal("/internal/billing/export", h.service.Export),
		api.Internal("/internal/billing/erase", services.ErasedBy(h.service)),
	}
}

type balanceBody struct {
	Credits string `json:"credits" doc:"whole credits, without what is held"`
}

func (h *Handler) balance(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[balanceBody], error) {
	balance, err := h.service.Balance(ctx, BalanceRequest{Caller: caller})
	return api.OK(balanceBody{Credits: strconv.FormatInt(balance.Available, 10)}), err
}

type subscriptionBody struct {
	Tier Tier `json:"tier"`
}

func (h *Handler) subscription(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[subscriptionBody], error) {
	balance, err := h.service.Balance(ctx, BalanceRequest{Caller: caller})
	return api.OK(subscriptionBody{Tier: balance.Tier}), err
}
