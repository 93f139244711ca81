package billing

import (
	"context"
	"slices"
	"strconv"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/services"
	"uaol/services/billing/payments"
)

// Handler is billing over HTTP.
type Handler struct {
	service  *Service
	accounts AccountDirectory
	payments *payments.Service
	receipts *Receipts
}

// NewHandler makes a Handler.
func NewHandler(service *Service, accounts AccountDirectory, payments *payments.Service, receipts *Receipts) *Handler {
	return &Handler{service: service, accounts: accounts, payments: payments, receipts: receipts}
}

// Operations is billing's part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), (*LedgerHandler)(nil).operations(),
		events.NewOutbox(services.Billing).Administration(nil, events.Outlet{}))
}

func (h *Handler) operations() []api.Operation {
	return append(h.paymentOperations(), []api.Operation{
		api.Get("/credits/balance", "Credits that can be spent now", h.balance),
		api.Get("/credits/history", "What happened to credits, the newest first, with what was available afterwards", h.history),
		api.Get("/credits/usage", "What was spent, by day, tool, job, member or key", h.usage),
		api.Get("/credits/usage.csv", "The same as CSV", h.usageCSV),
		api.Post("/credits/transfer", "Move one's own credits to a shared organisation", h.transfer, api.Audited("credits.transfer")),
		api.Post("/credits/grant", "Give credits", h.grant, api.Allow(api.Admin), api.Needs(""), api.Audited("credits.grant"), api.Says("body.amount", validAmount)),
		api.Post("/credits/deduct", "Take credits", h.deduct, api.Allow(api.Admin), api.Needs(""), api.Audited("credits.deduct"), api.Says("body.amount", validAmount)),
		api.Post("/credits/refund", "Give back what was charged", h.refund, api.Allow(api.Admin), api.Needs(""), api.Audited("credits.refund"), api.Says("body.amount", validAmount)),

		api.Get("/billing/subscription", "The caller's tier", h.subscription),
		api.Get("/billing/plans", "What the plans bring", h.listPlans, api.Allow(api.Public), api.Needs("")),
		api.Put("/billing/tier", "Give an account a tier that nobody pays for", h.setTier, api.Allow(api.Admin), api.Needs(""), api.Audited("billing.tier")),

		api.Get("/billing/caps", "Spend caps of the organisation", h.caps),
		api.Put("/billing/caps", "Set a spend cap", h.setCap, api.Needs(services.OrgAdmin), api.Audited("cap.set")),
		api.Delete("/billing/caps", "Remove a spend cap", h.removeCap, api.Needs(services.OrgAdmin), api.Audited("cap.remove")),

		api.Get("/receipts/{receiptId}", "What a call or a job cost, signed, to be checked by anybody", h.receipt),
		api.Get("/receipts/key", "The public key that receipts and seals are signed with", h.receiptKey, api.Allow(api.Public), api.Needs("")),
	}...)
}

// internal is for other services only.
func (h *Handler) internal() []api.Operation {
	return []api.Operation{
		api.Internal("/internal/billing/balance", h.service.Balance),
		api.Internal("/internal/billing/hold", h.service.Hold),
		api.Internal("/internal/billing/settle", h.service.Settle),
		api.Internal("/internal/billing/release", h.service.Release),
		api.Internal("/internal/billing/hold-many", h.service.HoldMany),
		api.Internal("/internal/billing/settle-many", h.service.SettleMany),
		api.Internal("/internal/billing/release-many", h.service.ReleaseMany),
		api.Internal("/internal/billing/abandoned", h.service.Abandoned),
		api.Internal("/internal/billing/plans", h.service.Plans),
		api.Internal("/internal/billing/deduct", h.service.Deduct),
		api.Internal("/internal/billing/refund", h.service.Refund),
		api.Internal("/internal/billing/export", h.service.Export),
		api.Internal("/internal/billing/erase", services.ErasedBy(custodian{h.service, h.payments})),
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

func (h *Handler) listPlans(context.Context, services.Caller, *struct{}) (api.Page[Plan], error) {
	var plans []Plan
	for _, tier := range Tiers() {
		plans = append(plans, h.service.plans[tier])
	}
	return api.List(plans, ""), nil
}
