package billing

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// validAmount are the contract's words for an amount that is none.
const validAmount = "Valid amount is required"

// Whose says which account a correction is for.
type Whose struct {
	User         uuid.UUID `json:"userId,omitempty" format:"uuid" doc:"whose own credits are meant; the caller's, when nobody is named"`
	Organization uuid.UUID `json:"organizationId,omitempty" format:"uuid" doc:"a shared organisation, instead of a user"`
	Operation    uuid.UUID `json:"operationId,omitempty" format:"uuid" doc:"chosen by the caller; repeated, it counts once"`
}

type amountInput struct {
	Body struct {
		Whose
		Amount any       `json:"amount,omitempty" doc:"whole credits, as a number or as its digits"`
		Job    uuid.UUID `json:"jobId,omitempty" format:"uuid" doc:"the job that it is about; of a refund also a direct call's id"`
		Reason string    `json:"reason,omitempty" maxLength:"500" doc:"for the books; a grant needs one"`
	}
}

// amountOf reads an amount as clients of the original write it: a number or its
// digits.
func amountOf(given any) (int64, error) {
	n := int64(0)
	switch given := given.(type) {
	case float64:
		if given == math.Trunc(given) && math.Abs(given) <= mostCredits {
			n = int64(given)
		}
	case string:
		n, _ = strconv.ParseInt(given, 10, 64)
	}
	if n <= 0 || n > mostCredits {
		return 0, services.Faults(services.Fault{Path: "body.amount", Message: validAmount})
	}
	return n, nil
}

// correction makes out whose credits are meant.
func (h *Handler) correction(ctx context.Context, caller services.Caller, who Whose) (Correction, error) {
	c := Correction{Organization: who.Organization, Operation: who.Operation}
	if c.Operation == uuid.Nil {
		c.Operation = uuid.New()
	}
	switch {
	case who.Organization != uuid.Nil && who.User != uuid.Nil:
		return c, services.Faults(services.Fault{Path: "body.organizationId", Message: "is there beside userId; name one of them"})
	case who.Organization != uuid.Nil:
		if _, err := h.service.repository.account(ctx, who.Organization); err != nil {
			if services.Is(err, services.NotFound) {
				err = services.Errorf(services.NotFound, "There is no such organisation, or it has never had credits")
			}
			return c, err
		}
	case who.User != uuid.Nil && who.User != caller.Account:
		home, err := h.accounts.Home(ctx, HomeRequest{Account: who.User})
		if err != nil {
			return c, err
		}
		c.Organization = home.Organization
		holder := HolderUser
		if home.Guest {
			holder = HolderGuest
		}
		_, err = h.service.open(ctx, c.Organization, holder)
		return c, err
	default:
		c.Organization = caller.Home
		_, err := h.service.open(ctx, c.Organization, HolderUser)
		return c, err
	}
	return c, nil
}

func (h *Handler) amounts(ctx context.Context, caller services.Caller, in *amountInput) (Correction, error) {
	amount, err := amountOf(in.Body.Amount)
	if err != nil {
		return Correction{}, err
	}
	c, err := h.correction(ctx, caller, in.Body.Whose)
	c.Amount, c.Job, c.Reason = amount, in.Body.Job, in.Body.Reason
	return c, err
}

type deductedBody struct {
	Deducted  any    `json:"deducted" doc:"as it was given"`
	Remaining string `json:"remaining"`
}

func (h *Handler) deduct(ctx context.Context, caller services.Caller, in *amountInput) (api.Data[deductedBody], error) {
	c, err := h.amounts(ctx, caller, in)
	if err != nil {
		return api.Data[deductedBody]{}, err
	}
	balance, err := h.service.Deduct(ctx, c)
	return api.OK(deductedBody{Deducted: in.Body.Amount, Remaining: strconv.FormatInt(balance.Available, 10)}), err
}

type refundedBody struct {
	Refunded   any    `json:"refunded" doc:"as it was given"`
	NewBalance string `json:"newBalance"`
}

func (h *Handler) refund(ctx context.Context, caller services.Caller, in *amountInput) (api.Data[refundedBody], error) {
	c, err := h.amounts(ctx, caller, in)
	if err != nil {
		return api.Data[refundedBody]{}, err
	}
	balance, err := h.service.Refund(ctx, c)
	return api.OK(refundedBody{Refunded: in.Body.Amount, NewBalance: strconv.FormatInt(balance.Available, 10)}), err
}

type grantedBody struct {
	Granted    any    `json:"granted" doc:"as it was given"`
	NewBalance string `json:"newBalance"`
}

func (h *Handler) grant(ctx context.Context, caller services.Caller, in *amountInput) (api.Data[grantedBody], error) {
	if strings.TrimSpace(in.Body.Reason) == "" {
		return api.Data[grantedBody]{}, services.Faults(services.Fault{Path: "body.reason", Message: "must say why"})
	}
	if in.Body.User == uuid.Nil && in.Body.Organization == uuid.Nil {
		return api.Data[grantedBody]{}, services.Faults(services.Fault{Path: "body.userId", Message: "must say to whom"})
	}
	c, err := h.amounts(ctx, caller, in)
	if err != nil {
		return api.Data[grantedBody]{}, err
	}
	c.Job = uuid.Nil // credits are given for a reason, not for a job
	balance, err := h.service.Grant(ctx, c)
	return api.OK(grantedBody{Granted: in.Body.Amount, NewBalance: strconv.FormatInt(balance.Available, 10)}), err
}

type tierInput struct {
	Body struct {
		Whose
		Tier Tier `json:"tier" enum:"Free,Pro,Enterprise"`
	}
}

func (h *Handler) setTier(ctx context.Context, caller services.Caller, in *tierInput) (api.Data[subscriptionBody], error) {
	if in.Body.User == uuid.Nil && in.Body.Organization == uuid.Nil {
		return api.Data[subscriptionBody]{}, services.Faults(services.Fault{Path: "body.userId", Message: "must say whose"})
	}
	c, err := h.correction(ctx, caller, in.Body.Whose)
	if err != nil {
		return api.Data[subscriptionBody]{}, err
	}
	c.Tier = in.Body.Tier
	balance, err := h.service.SetTier(ctx, c)
	return api.OK(subscriptionBody{Tier: balance.Tier}), err
}
