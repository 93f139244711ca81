package auth

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/billing"
)

func (h *Handler) accountOperations() []api.Operation {
	return []api.Operation{
		api.Get("/accounts", "Accounts of everybody, newest first: people and service accounts, or guests if those are asked for", h.listAccounts,
			api.Allow(api.Admin), api.Needs("")),
		api.Get("/accounts/{accountId}", "Anybody's account", h.account, api.Allow(api.Admin), api.Needs("")),
		api.Put("/accounts/{accountId}", "Make somebody an admin of the platform, or no longer one", h.setAdmin,
			api.Allow(api.Admin), api.Needs(""), api.Audited("account.admin")),
	}
}

// AccountBody is an account as admins see it. It is exported because only the fields of
// embedded types that are can be described.
type AccountBody struct {
	ID            uuid.UUID     `json:"id"`
	Kind          Kind          `json:"kind" doc:"user, guest or service"`
	Name          *string       `json:"name"`
	Email         *string       `json:"email"`
	EmailVerified bool          `json:"emailVerified" doc:"somebody proved that the address is theirs"`
	Admin         bool          `json:"admin" doc:"a platform admin"`
	CreatedAt     services.Time `json:"createdAt"`
	Organization  uuid.UUID     `json:"organizationId" doc:"the personal one; of a service account, the one that it belongs to"`
}

func newAccountBody(a Account) AccountBody {
	return AccountBody{
		ID: a.ID, Kind: a.Kind, Name: a.Name, Email: a.Email, EmailVerified: a.EmailVerified != nil,
		Admin: a.Admin, CreatedAt: a.CreatedAt, Organization: a.Organization,
	}
}

type accountsInput struct {
	api.Paging
	Beginning string `query:"q" maxLength:"254" doc:"how an e-mail address or a name begins"`
	Kind      Kind   `query:"kind" enum:"user,guest,service"`
}

func (h *Handler) listAccounts(ctx context.Context, _ services.Caller, in *accountsInput) (api.Page[AccountBody], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]AccountBody, error) {
		found, err := h.service.Accounts(ctx, AccountFilter{Kind: in.Kind, Beginning: in.Beginning}, before, beforeID, limit)
		bodies := make([]AccountBody, len(found))
		for i, account := range found {
			bodies[i] = newAccountBody(account)
		}
		return bodies, err
	}, func(row AccountBody) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type accountInput struct {
	ID uuid.UUID `path:"accountId" format:"uuid"`
}

type wholeAccountBody struct {
	AccountBody
	Tier    billing.Tier `json:"subscriptionTier,omitempty" doc:"a person's"`
	Credits string       `json:"credits,omitempty" doc:"that a person can spend: whole credits, without what is held"`
}

func (h *Handler) account(ctx context.Context, _ services.Caller, in *accountInput) (api.Data[wholeAccountBody], error) {
	account, balance, err := h.service.Account(ctx, in.ID)
	body := wholeAccountBody{AccountBody: newAccountBody(account)}
	if balance != nil {
		body.Tier, body.Credits = balance.Tier, strconv.FormatInt(balance.Available, 10)
	}
	return api.OK(body), err
}

type setAdminInput struct {
	ID   uuid.UUID `path:"accountId" format:"uuid"`
	Body struct {
		Admin bool `json:"admin"`
	}
}

func (h *Handler) setAdmin(ctx context.Context, caller services.Caller, in *setAdminInput) (api.Data[AccountBody], error) {
	services.Note(ctx, "admin", strconv.FormatBool(in.Body.Admin))
	account, err := h.service.SetAdmin(ctx, caller, in.ID, in.Body.Admin)
	return api.OK(newAccountBody(account)), err
}
