package billing

import (
	"context"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/billing/payments"
)

// paymentOperations are what is bought with money. Without STRIPE_SECRET_KEY
// they answer BILLING_NOT_CONFIGURED.
func (h *Handler) paymentOperations() []api.Operation {
	return []api.Operation{
		api.Get("/billing/packs", "Credits for sale", h.packs),
		api.Post("/billing/checkout", "A page where a pack of credits is bought", h.checkout, api.Needs(services.OrgAdmin), api.Audited("billing.checkout")),
		api.Post("/billing/subscribe", "Subscribe to a plan", h.subscribe, api.Needs(services.OrgAdmin), api.Audited("billing.subscribe")),
		api.Post("/billing/subscription/cancel", "End the subscription with the period that is paid", h.cancel, api.Needs(services.OrgAdmin), api.Audited("billing.cancel")),
		api.Post("/billing/portal", "A page where cards, invoices and the plan are managed", h.portal, api.Needs(services.OrgAdmin)),
		api.Raw(http.MethodPost, "/billing/webhook/stripe", "What Stripe tells", h.webhook, api.Allow(api.Public), api.Needs(""), api.MaxBody(1<<20)),
	}
}

func (h *Handler) packs(context.Context, services.Caller, *struct{}) (api.Page[payments.Pack], error) {
	packs, err := h.payments.Packs()
	return api.List(packs, ""), err
}

type checkoutInput struct {
	Body struct {
		Pack string `json:"pack" minLength:"1" maxLength:"40" doc:"a name that /billing/packs lists"`
		Returning
	}
}

// Returning says where people come back to from Stripe's page. It is exported because what
// a body embeds is neither judged nor described otherwise.
type Returning struct {
	ReturnTo string `json:"return_to,omitempty" enum:"/console" doc:"/console: people come back to the console; else to the frontend"`
}

func (r Returning) buyer(caller services.Caller) payments.Buyer {
	return payments.Buyer{Organization: caller.Organization, Email: caller.Email, ReturnTo: r.ReturnTo}
}

func (h *Handler) checkout(ctx context.Context, caller services.Caller, in *checkoutInput) (api.Data[payments.Session], error) {
	services.Note(ctx, "pack", in.Body.Pack)
	session, err := h.payments.Checkout(ctx, in.Body.buyer(caller), in.Body.Pack)
	return api.OK(session), err
}

type subscribeInput struct {
	Body struct {
		Tier   string `json:"tier" minLength:"1" maxLength:"40" doc:"Pro or Enterprise"`
		Method string `json:"paymentMethodId,omitempty" maxLength:"200" doc:"Stripe's id of a card; without one a page asks for it"`
		Returning
	}
}

func (h *Handler) subscribe(ctx context.Context, caller services.Caller, in *subscribeInput) (api.Data[payments.Started], error) {
	services.Note(ctx, "tier", in.Body.Tier)
	started, err := h.payments.Subscribe(ctx, in.Body.buyer(caller), in.Body.Tier, in.Body.Method)
	answer := api.OK(started)
	if answer.Message = "The subscription has begun"; started.URL != "" {
		answer.Message = "Go on at the address in data.url"
	}
	return answer, err
}

func (h *Handler) cancel(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[payments.Subscription], error) {
	subscription, err := h.payments.Cancel(ctx, caller.Organization)
	answer := api.OK(subscription)
	answer.Message = "The subscription ends with the period that is paid"
	return answer, err
}

type portalInput struct {
	Body Returning
}

type portalBody struct {
	URL string `json:"url"`
}

func (h *Handler) portal(ctx context.Context, caller services.Caller, in *portalInput) (api.Data[portalBody], error) {
	url, err := h.payments.Portal(ctx, in.Body.buyer(caller))
	return api.OK(portalBody{URL: url}), err
}

// webhook reads the body as it came: that is what Stripe has signed.
func (h *Handler) webhook(c *gin.Context, _ services.Caller) {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		api.Fail(c, services.Errorf(services.Invalid, "The body can't be read").Because(err))
		return
	}
	if err := h.payments.Webhook(c.Request.Context(), body, c.GetHeader("Stripe-Signature")); err != nil {
		api.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"received": true})
}
