package teams

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is teams over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is teams' part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).Operations() }

// Operations is teams' part of the API. They name their organisation in the
// path, whatever the request is for otherwise, and its role is looked up there.
func (h *Handler) Operations() []api.Operation {
	named, created := api.Needs(""), api.Status(http.StatusCreated)
	const (
		organization = "/organizations/{organizationId}"
		accounts     = organization + "/service-accounts"
		keys         = accounts + "/{accountId}/keys"
	)
	return []api.Operation{
		api.Get("/organizations", "Organisations that the caller is in", h.organizations, named),
		api.Post("/organizations", "Make a shared organisation", h.create, named, created, api.Audited("organization.create")),
		api.Get(organization, "An organisation", h.organization, named),
		api.Put(organization, "Rename an organisation", h.rename, named, api.Audited("organization.rename")),
		api.Delete(organization, "End an organisation, with all that it has", h.end, named, api.Audited("organization.delete")),
		api.Get(organization+"/audit", "The organisation's audit log, newest first", h.acts, named),

		api.Get(organization+"/members", "Who is in the organisation", h.members, named),
		api.Put(organization+"/members/{accountId}", "Change a member's role", h.setRole, named, api.Audited("member.role")),
		api.Delete(organization+"/members/{accountId}", "Remove a member, or leave", h.remove, named, api.Audited("member.remove")),

		api.Get(organization+"/invitations", "Invitations that can still be used", h.invitations, named),
		api.Post(organization+"/invitations", "Invite somebody; the secret is shown only here", h.invite, named, created, api.Audited("invitation.create")),
		api.Delete(organization+"/invitations/{invitationId}", "Withdraw an invitation", h.withdraw, named, api.Audited("invitation.revoke")),
		api.Post("/invitations/accept", "Join the organisation that one is invited to", h.accept, named, api.Audited("invitation.accept")),
		api.Get("/invitations", "Invitations to the platform that can still be used", h.platformInvitations, named, api.Allow(api.Admin)),
		api.Post("/invitations", "Invite somebody to the platform; the secret is shown only here", h.inviteToPlatform,
			named, created, api.Allow(api.Admin), api.Audited("invitation.create")),
		api.Delete("/invitations/{invitationId}", "Withdraw an invitation to the platform", h.withdrawFromPlatform,
			named, api.Allow(api.Admin), api.Audited("invitation.revoke")),

		api.Get(accounts, "The organisation's service accounts", h.serviceAccounts, named),
		api.Post(accounts, "Make a service account", h.addServiceAccount, named, created, api.Audited("service-account.create")),
		api.Delete(accounts+"/{accountId}", "Delete a service account with its keys", h.deleteServiceAccount, named, api.Audited("service-account.delete")),
		api.Get(keys, "API keys of a service account", h.keys, named),
		api.Post(keys, "Make an API key for a service account; it is shown only here", h.addKey, named, created, api.Audited("key.create")),
		api.Delete(keys+"/{keyId}", "Revoke an API key of a service account", h.revokeKey, named, api.Audited("key.revoke")),
	}
}

type pageInput struct{ api.Paging }

func (h *Handler) organizations(ctx context.Context, caller services.Caller, in *pageInput) (api.Page[Organization], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Organization, error) {
		return h.service.Organizations(ctx, caller, before, beforeID, limit)
	}, func(row Organization) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type nameBody struct {
	Name string `json:"name" minLength:"1" maxLength:"100"`
}

type createInput struct {
	api.Once
	Body nameBody
}

func (h *Handler) create(ctx context.Context, caller services.Caller, in *createInput) (api.Data[Organization], error) {
	made, err := h.service.Create(ctx, caller, in.Body.Name)
	return api.OK(made), err
}

// OrganizationPath names an organisation. It is exported because only the fields
// of embedded types that are can be filled in.
type OrganizationPath struct {
	ID uuid.UUID `path:"organizationId" format:"uuid"`
}

func (h *Handler) organization(ctx context.Context, caller services.Caller, in *OrganizationPath) (api.Data[Organization], error) {
	found, err := h.service.Organization(ctx, caller, in.ID)
	return api.OK(found), err
}

type renameInput struct {
	OrganizationPath
	Body nameBody
}

func (h *Handler) rename(ctx context.Context, caller services.Caller, in *renameInput) (api.Data[Organization], error) {
	renamed, err := h.service.Rename(ctx, caller, in.ID, in.Body.Name)
	return api.OK(renamed), err
}

func (h *Handler) end(ctx context.Context, caller services.Caller, in *OrganizationPath) (api.Message, error) {
	return api.Done("The organisation has ended"), h.service.End(ctx, caller, in.ID)
}

type organizationPageInput struct {
	OrganizationPath
	api.Paging
}

func (h *Handler) acts(ctx context.Context, caller services.Caller, in *organizationPageInput) (api.Page[services.Act], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]services.Act, error) {
		return h.service.Acts(ctx, caller, in.ID, before, beforeID, limit)
	}, func(row services.Act) (time.Time, uuid.UUID) { return row.Time.Time, row.ID })
}

func (h *Handler) members(ctx context.Context, caller services.Caller, in *organizationPageInput) (api.Page[Member], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Member, error) {
		return h.service.Members(ctx, caller, in.ID, before, beforeID, limit)
	}, memberKey)
}

func memberKey(row Member) (time.Time, uuid.UUID) { return row.JoinedAt.Time, row.Account }

// AccountPath names somebody in an organisation.
type AccountPath struct {
	OrganizationPath
	Account uuid.UUID `path:"accountId" format:"uuid"`
}

type roleInput struct {
	AccountPath
	Body struct {
		Role services.OrgRole `json:"role" enum:"viewer,member,admin,owner"`
	}
}

func (h *Handler) setRole(ctx context.Context, caller services.Caller, in *roleInput) (api.Data[Member], error) {
	changed, err := h.service.SetRole(ctx, caller, in.ID, in.Account, in.Body.Role)
	return api.OK(changed), err
}

func (h *Handler) remove(ctx context.Context, caller services.Caller, in *AccountPath) (api.Message, error) {
	return api.Done("The membership has ended"), h.service.Remove(ctx, caller, in.ID, in.Account)
}

func (h *Handler) serviceAccounts(ctx context.Context, caller services.Caller, in *organizationPageInput) (api.Page[Member], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Member, error) {
		return h.service.ServiceAccounts(ctx, caller, in.ID, before, beforeID, limit)
	}, memberKey)
}

type serviceAccountInput struct {
	api.Once
	OrganizationPath
	Body struct {
		Name string           `json:"name" minLength:"1" maxLength:"100"`
		Role services.OrgRole `json:"role,omitempty" enum:"viewer,member,admin" default:"member"`
	}
}

func (h *Handler) addServiceAccount(ctx context.Context, caller services.Caller, in *serviceAccountInput) (api.Data[Member], error) {
	made, err := h.service.AddServiceAccount(ctx, caller, in.ID, in.Body.Name, in.Body.Role)
	return api.OK(made), err
}

func (h *Handler) deleteServiceAccount(ctx context.Context, caller services.Caller, in *AccountPath) (api.Message, error) {
	return api.Done("The service account is deleted"), h.service.DeleteServiceAccount(ctx, caller, in.ID, in.Account)
}

func (h *Handler) keys(ctx context.Context, caller services.Caller, in *AccountPath) (api.Page[Key], error) {
	keys, err := h.service.Keys(ctx, caller, in.ID, in.Account)
	return api.List(keys, ""), err
}

type keyInput struct {
	api.Once
	AccountPath
	Body struct {
		Name      string     `json:"name" minLength:"1" maxLength:"100"`
		Scopes    []string   `json:"scopes,omitempty" maxItems:"50" doc:"such as jobs:read or tools:write; none means everything"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	}
}

type newKeyBody struct {
	Key
	APIKey string `json:"apiKey" doc:"shown only this once"`
}

func (h *Handler) addKey(ctx context.Context, caller services.Caller, in *keyInput) (api.Data[newKeyBody], error) {
	key, secret, err := h.service.AddKey(ctx, caller, in.ID, in.Account, KeyRequest{Name: in.Body.Name, Scopes: in.Body.Scopes, Expires: in.Body.ExpiresAt})
	return api.OK(newKeyBody{Key: key, APIKey: secret}), err
}

type keyIDInput struct {
	AccountPath
	Key uuid.UUID `path:"keyId" format:"uuid"`
}

func (h *Handler) revokeKey(ctx context.Context, caller services.Caller, in *keyIDInput) (api.Message, error) {
	return api.Done("API key revoked"), h.service.RevokeKey(ctx, caller, in.ID, in.Account, in.Key)
}
