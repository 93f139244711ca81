package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/billing"
)

// ProfileHandler is what users do about their own accounts, over HTTP.
type ProfileHandler struct {
	profiles *Profiles
	exports  *Exports
}

// NewProfileHandler makes a ProfileHandler.
func NewProfileHandler(profiles *Profiles, exports *Exports) *ProfileHandler {
	return &ProfileHandler{profiles: profiles, exports: exports}
}

func (h *ProfileHandler) operations() []api.Operation {
	return []api.Operation{
		api.Get("/users/profile", "The caller's account", h.profile, api.Also("/auth/users/profile"), api.Account()),
		api.Put("/users/profile", "Change name or e-mail address", h.update, api.Also("/auth/users/profile"), api.Account(), api.Audited("account.update")),
		api.Get("/users/credits", "Credits that can be spent now", h.credits, api.Also("/auth/users/credits"), api.Account()),
		api.Get("/users/subscription", "The caller's tier", h.subscription, api.Also("/auth/users/subscription"), api.Account()),
		api.Put("/users/subscription", "Refused: a tier changes through billing", h.setSubscription, api.Also("/auth/users/subscription"), api.Account(),
			api.Says("body.tier", "Invalid subscription tier"), api.Audited("account.subscribe")),

		api.Post("/users/email", "Change the e-mail address", h.changeEmail, api.Also("/auth/users/email"), api.Account(), api.Audited("email.change")),
		api.Post("/auth/email/verify", "Send the link again that confirms the e-mail address", h.verifyEmail, api.Bare("/email/verify"),
			api.Account(), api.Audited("email.verify")),
		api.Post("/auth/email/confirm", "Confirm an e-mail address by the link that went there", h.confirmEmail, api.Bare("/email/confirm"),
			api.Allow(api.Public), api.Audited("email.confirm")),

		api.Put("/users/password", "Change the password, or set one; all other sign-ins end", h.setPassword, api.Also("/auth/users/password"),
			api.Account(), api.Audited("password.change")),
		api.Post("/auth/password/forgot", "Send a link to choose a new password", h.forgotPassword, api.Bare("/password/forgot"),
			api.Allow(api.Public), api.Audited("password.forgot")),
		api.Post("/auth/password/reset", "Choose a new password by the link; all sign-ins end", h.resetPassword, api.Bare("/password/reset"),
			api.Allow(api.Public), api.Audited("password.reset")),

		api.Raw(http.MethodGet, "/users/export", "Everything that is kept of the caller, as JSON", h.export, api.Also("/auth/users/export"),
			api.Account(), api.Audited("account.export")),
		api.Delete("/users/account", "Delete the account and all that is the caller's", h.delete, api.Also("/auth/users/account"),
			api.Account(), api.Audited("account.delete")),
	}
}

type profileBody struct {
	UserBody
	CreatedAt     services.Time `json:"createdAt"`
	Name          *string       `json:"name"`
	EmailVerified bool          `json:"emailVerified" doc:"somebody proved that the address is theirs"`
}

func (h *ProfileHandler) profile(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[profileBody], error) {
	account, balance, err := h.profiles.service.Profile(ctx, caller)
	body := profileBody{UserBody: newUserBody(caller, balance), CreatedAt: account.CreatedAt, Name: account.Name, EmailVerified: account.EmailVerified != nil}
	if account.Email != nil {
		body.Email = *account.Email // the caller's may be some seconds old
	}
	return api.OK(body), err
}

type profileInput struct {
	Body struct {
		Email    *string `json:"email,omitempty" minLength:"1" maxLength:"254"`
		Name     *string `json:"name,omitempty" maxLength:"100" doc:"\"\" for none"`
		Password string  `json:"password,omitempty" maxLength:"1024" doc:"the current one; another e-mail address needs it"`
	}
}

const pendingMessage = "A link was sent to the new e-mail address; open it to confirm the change"

func (h *ProfileHandler) update(ctx context.Context, caller services.Caller, in *profileInput) (api.Message, error) {
	pending, err := h.profiles.Update(ctx, caller, ProfileChange{Email: in.Body.Email, Name: in.Body.Name, Password: in.Body.Password})
	if pending {
		return api.Done("Profile updated. " + pendingMessage), err
	}
	return api.Done("Profile updated successfully"), err
}

type creditsBody struct {
	Credits string `json:"credits" doc:"whole credits, without what is held"`
}

func (h *ProfileHandler) credits(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[creditsBody], error) {
	balance, err := h.profiles.service.Me(ctx, caller)
	return api.OK(creditsBody{Credits: strconv.FormatInt(balance.Available, 10)}), err
}

type subscriptionBody struct {
	Tier billing.Tier `json:"tier"`
}

func (h *ProfileHandler) subscription(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[subscriptionBody], error) {
	balance, err := h.profiles.service.Me(ctx, caller)
	return api.OK(subscriptionBody{Tier: balance.Tier}), err
}

type setSubscriptionInput struct {
	Body struct {
		Tier billing.Tier `json:"tier" minLength:"1" doc:"Free, Pro or Enterprise"`
	}
}

// setSubscription refuses everybody: the tier is billing's, which changes it for
// what was paid. The original let any user take any tier.
func (h *ProfileHandler) setSubscription(_ context.Context, _ services.Caller, in *setSubscriptionInput) (api.Message, error) {
	if !slices.Contains([]billing.Tier{billing.Free, billing.Pro, billing.Enterprise}, in.Body.Tier) {
		const message = "Invalid subscription tier"
		return api.Message{}, services.Errorf(services.Invalid, message).WithDetails([]services.Fault{{Path: "body.tier", Message: message}})
	}
	return api.Message{}, services.Errorf(services.Forbidden, "A subscription changes through billing only")
}

type changeEmailInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"254"`
		Password string `json:"password,omitempty" maxLength:"1024" doc:"the current one, if there is one"`
	}
}

func (h *ProfileHandler) changeEmail(ctx context.Context, caller services.Caller, in *changeEmailInput) (api.Message, error) {
	pending, err := h.profiles.ChangeEmail(ctx, caller, in.Body.Email, in.Body.Password)
	if pending {
		return api.Done(pendingMessage), err
	}
	return api.Done("E-mail address changed"), err
}

func (h *ProfileHandler) verifyEmail(ctx context.Context, caller services.Caller, _ *struct{}) (api.Message, error) {
	needed, err := h.profiles.VerifyEmail(ctx, caller)
	if !needed {
		return api.Done("The e-mail address is confirmed already"), err
	}
	return api.Done("A link was sent to your e-mail address"), err
}

type linkInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"200" doc:"from the link"`
	}
}

func (h *ProfileHandler) confirmEmail(ctx context.Context, _ services.Caller, in *linkInput) (api.Message, error) {
	return api.Done("E-mail address confirmed"), h.profiles.ConfirmEmail(ctx, in.Body.Token)
}

type passwordInput struct {
	Body struct {
		Current string `json:"currentPassword,omitempty" maxLength:"1024" doc:"if there is one; else the sign-in must be younger than 10 minutes"`
		New     string `json:"newPassword" minLength:"8" maxLength:"1024"`
	}
}

func (h *ProfileHandler) setPassword(ctx context.Context, caller services.Caller, in *passwordInput) (api.Message, error) {
	return api.Done("Password changed; all other sign-ins have ended"), h.profiles.SetPassword(ctx, caller, in.Body.Current, in.Body.New)
}

type forgotInput struct {
	Body struct {
		Email string `json:"email" minLength:"1" maxLength:"254"`
	}
}

func (h *ProfileHandler) forgotPassword(ctx context.Context, _ services.Caller, in *forgotInput) (api.Message, error) {
	return api.Done("If an account has this e-mail address, a link to choose a new password is on its way"), h.profiles.ForgotPassword(ctx, in.Body.Email)
}

type resetInput struct {
	Body struct {
		Token    string `json:"token" minLength:"1" maxLength:"200" doc:"from the link"`
		Password string `json:"password" minLength:"8" maxLength:"1024"`
	}
}

func (h *ProfileHandler) resetPassword(ctx context.Context, _ services.Caller, in *resetInput) (api.Message, error) {
	return api.Done("Password changed; all sign-ins have ended"), h.profiles.ResetPassword(ctx, in.Body.Token, in.Body.Password)
}

// export streams the document. A failure half way cuts the answer, so that
// nobody takes it for whole.
func (h *ProfileHandler) export(c *gin.Context, caller services.Caller) {
	export, err := h.exports.Begin(c.Request.Context(), caller)
	if err != nil {
		api.Fail(c, err)
		return
	}
	c.Header("Content-Type", "application/json; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="uaol-export.json"`)
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusOK)
	if err := export.WriteTo(c.Request.Context(), c.Writer); err != nil {
		_ = c.Error(errors.Join(errors.New("an export was cut short"), err))
		panic(http.ErrAbortHandler)
	}
}

type deleteInput struct {
	Body struct {
		Password string `json:"password,omitempty" maxLength:"1024" doc:"the current one, if there is one"`
		Confirm  string `json:"confirm,omitempty" maxLength:"254" doc:"the account's e-mail address, if there is no password"`
	}
}

func (h *ProfileHandler) delete(ctx context.Context, caller services.Caller, in *deleteInput) (api.Message, error) {
	return api.Done("Account deleted"), h.profiles.Delete(ctx, caller, DeleteRequest{Password: in.Body.Password, Confirm: in.Body.Confirm})
}
