package teams

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

func invitationKey(row Invitation) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID }

func (h *Handler) invitations(ctx context.Context, caller services.Caller, in *organizationPageInput) (api.Page[Invitation], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Invitation, error) {
		return h.service.Invitations(ctx, caller, in.ID, before, beforeID, limit)
	}, invitationKey)
}

// Invitee is who is invited, and for how long.
type Invitee struct {
	Email string `json:"email" minLength:"1" maxLength:"254"`
	Days  int    `json:"expiresInDays,omitempty" minimum:"1" maximum:"90" default:"7"`
}

type inviteInput struct {
	api.Once
	OrganizationPath
	Body struct {
		Invitee
		Role services.OrgRole `json:"role,omitempty" enum:"viewer,member,admin,owner" default:"member"`
	}
}

type invitedBody struct {
	Invitation
	Secret string `json:"invitation" doc:"shown only this once; hand it to whom it is for"`
	Mailed bool   `json:"mailed" doc:"it is on its way to the address"`
}

func (h *Handler) invite(ctx context.Context, caller services.Caller, in *inviteInput) (api.Data[invitedBody], error) {
	made, err := h.service.Invite(ctx, caller, in.ID, InviteRequest{Email: in.Body.Email, Role: in.Body.Role, Days: in.Body.Days})
	return api.OK(invitedBody(made)), err
}

type invitationInput struct {
	OrganizationPath
	Invitation uuid.UUID `path:"invitationId" format:"uuid"`
}

func (h *Handler) withdraw(ctx context.Context, caller services.Caller, in *invitationInput) (api.Message, error) {
	return api.Done("The invitation is withdrawn"), h.service.Withdraw(ctx, caller, in.ID, in.Invitation)
}

type acceptInput struct {
	Body struct {
		Invitation string `json:"invitation" minLength:"1" maxLength:"200" doc:"its secret"`
	}
}

func (h *Handler) accept(ctx context.Context, caller services.Caller, in *acceptInput) (api.Data[Organization], error) {
	joined, err := h.service.Accept(ctx, caller, in.Body.Invitation)
	return api.OK(joined), err
}

func (h *Handler) platformInvitations(ctx context.Context, _ services.Caller, in *pageInput) (api.Page[Invitation], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Invitation, error) {
		return h.service.PlatformInvitations(ctx, before, beforeID, limit)
	}, invitationKey)
}

type inviteToPlatformInput struct {
	api.Once
	Body Invitee
}

func (h *Handler) inviteToPlatform(ctx context.Context, caller services.Caller, in *inviteToPlatformInput) (api.Data[invitedBody], error) {
	made, err := h.service.InviteToPlatform(ctx, caller, InviteRequest{Email: in.Body.Email, Days: in.Body.Days})
	return api.OK(invitedBody(made)), err
}

type platformInvitationInput struct {
	Invitation uuid.UUID `path:"invitationId" format:"uuid"`
}

func (h *Handler) withdrawFromPlatform(ctx context.Context, _ services.Caller, in *platformInvitationInput) (api.Message, error) {
	return api.Done("The invitation is withdrawn"), h.service.WithdrawFromPlatform(ctx, in.Invitation)
}
