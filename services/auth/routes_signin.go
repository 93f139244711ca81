package auth

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// signInOperations are those about providers. Each provider has paths of its own.
func (h *Handler) signInOperations() []api.Operation {
	operations := []api.Operation{
		api.Get("/auth/oauth-config", "Which providers can be signed in with", h.configured, api.Bare("/oauth-config"), api.Allow(api.Public)),
		api.Get("/auth/identities", "Who providers say that this account is", h.listIdentities, api.Bare("/identities"), api.Account()),
		api.Delete("/auth/identities/{identityId}", "Sign in with this identity no more", h.unlink,
			api.Bare("/identities/{identityId}"), api.Account(), api.Audited("identity.unlink")),
		api.Post("/auth/identities/{identityId}/refresh", "Refresh the provider's tokens", h.refresh,
			api.Bare("/identities/{identityId}/refresh"), api.Account(), api.Audited("identity.refresh")),
		// Apple posts its answer from its own site.
		api.Raw(http.MethodPost, "/auth/icloud/callback", "Where icloud sends people back to", h.handOver("icloud"),
			api.Bare("/icloud/callback"), api.Allow(api.Public), api.MaxBody(64<<10), api.Audited("sign-in.return")),
	}
	for _, name := range oidc.Names {
		operations = append(operations,
			api.Raw(http.MethodGet, "/auth/"+name, "Sign in with "+name, h.begin(name),
				api.Bare("/"+name), api.Allow(api.Public), api.Audited("sign-in.begin")),
			api.Raw(http.MethodGet, "/auth/"+name+"/callback", "Where "+name+" sends people back to", h.finish(name),
				api.Bare("/"+name+"/callback"), api.Allow(api.Public), api.Audited("session.begin")))
	}
	return operations
}

type configuredBody struct {
	Provider   string `json:"provider"`
	Configured bool   `json:"configured"`
}

func (h *Handler) configured(context.Context, services.Caller, *struct{}) (api.Page[configuredBody], error) {
	var all []configuredBody
	for _, name := range oidc.Names {
		all = append(all, configuredBody{Provider: name, Configured: h.signIns.Configured(name)})
	}
	return api.List(all, ""), nil
}

// begin sends a browser to a provider.
func (h *Handler) begin(provider string) func(*gin.Context, services.Caller) {
	return func(c *gin.Context, _ services.Caller) {
		private(c)
		cookie, maker := h.signIns.cookie(provider), rand.Text()
		if held, err := c.Cookie(cookie.Name); err == nil && len(held) == len(maker) {
			maker = held // of a sign-in in another tab
		}
		page, err := h.signIns.Begin(c.Request.Context(), BeginRequest{
			Provider: provider, Browser: maker,
			ReturnTo: c.Query("return_to"), Authorize: c.Query("authorize"), Invitation: c.Query("invitation"), GuestID: c.Query("guest"),
		})
		if err != nil {
			api.Fail(c, err)
			return
		}
		cookie.Value = maker
		http.SetCookie(c.Writer, cookie)
		redirect(c, http.StatusFound, page)
	}
}

// cookie is what a browser is recognised by while somebody signs in.
func (s *SignIns) cookie(provider string) *http.Cookie {
	cookie := &http.Cookie{
		Name: "uaol_sign_in", Path: "/", MaxAge: int(signInLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: s.providers.Named(provider).Secure(),
	}
	if cookie.Secure { // no other host can have set one of this name
		cookie.Name = "__Host-" + cookie.Name
	}
	return cookie
}

// finish ends a sign-in and sends the browser to the frontend, or back to the console.
func (h *Handler) finish(provider string) func(*gin.Context, services.Caller) {
	return func(c *gin.Context, _ services.Caller) {
		private(c)
		browser, _ := c.Cookie(h.signIns.cookie(provider).Name) // without one nothing will be found
		returnTo, token, err := h.signIns.Finish(c.Request.Context(), FinishRequest{
			Provider: provider, Browser: browser, State: c.Query("state"), Code: c.Query("code"), Error: c.Query("error"),
		})
		if err != nil {
			_ = c.Error(err) // the access log tells it
			services.NoteRefusal(c.Request.Context(), api.CodeOf(err))
		}
		if toConsent(returnTo) {
			h.backToConsent(c, returnTo, token, err)
			return
		}
		if err != nil {
			redirect(c, http.StatusFound, returnTo+"/auth/callback?error="+component(api.MessageOf(err)))
			return
		}
		redirect(c, http.StatusFound, returnTo+"/auth/callback?token="+component(token)+"&provider="+provider)
	}
}

// backToConsent sends a browser on to the page on which a program asked to be let in. It
// gets no token: who has signed in there the page knows by its own cookie.
func (h *Handler) backToConsent(c *gin.Context, page, text string, err error) {
	said, session := "", uuid.Nil
	if err == nil {
		var read token
		read, err = h.service.signer.read(text)
		session = read.ID
	}
	if err != nil {
		said = api.MessageOf(err) + "."
	}
	ctx := c.Request.Context()
	cookie, _ := c.Cookie(h.consents.CookieName(ctx)) // without one it is new
	http.SetCookie(c.Writer, h.consents.SignedIn(ctx, cookie, session, said))
	redirect(c, http.StatusFound, page)
}

// handOver turns a post from a provider's site, which comes without our cookies,
// into a request of the browser's own. It takes nothing along but what counts.
func (h *Handler) handOver(provider string) func(*gin.Context, services.Caller) {
	return func(c *gin.Context, _ services.Caller) {
		private(c)
		query := url.Values{}
		for _, name := range []string{"code", "state", "error"} {
			if value := c.PostForm(name); value != "" {
				query.Set(name, value)
			}
		}
		if !query.Has("code") && !query.Has("error") {
			api.Fail(c, errNoCode)
			return
		}
		redirect(c, http.StatusSeeOther, h.signIns.providers.Named(provider).Redirect()+"?"+query.Encode())
	}
}

// private keeps an answer that holds secrets in its address to this browser.
func private(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Referrer-Policy", "no-referrer")
}

func redirect(c *gin.Context, status int, to string) {
	c.Header("Location", to)
	c.String(status, "%s. Redirecting to %s", http.StatusText(status), to)
}

// component writes a text for a query as browsers do.
func component(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func (h *Handler) listIdentities(ctx context.Context, caller services.Caller, _ *struct{}) (api.Page[Identity], error) {
	identities, err := h.signIns.Identities(ctx, caller)
	return api.List(identities, ""), err
}

type identityInput struct {
	ID uuid.UUID `path:"identityId" format:"uuid"`
}

type unlinkedBody struct {
	Revoked bool `json:"revoked" doc:"whether the provider ended its tokens, too"`
}

func (h *Handler) unlink(ctx context.Context, caller services.Caller, in *identityInput) (api.Data[unlinkedBody], error) {
	revoked, err := h.signIns.Unlink(ctx, caller, in.ID)
	return api.OK(unlinkedBody{Revoked: revoked}), err
}

type refreshedBody struct {
	ExpiresAt *services.Time `json:"expiresAt" doc:"when the new access token expires"`
}

func (h *Handler) refresh(ctx context.Context, caller services.Caller, in *identityInput) (api.Data[refreshedBody], error) {
	expires, err := h.signIns.Refresh(ctx, caller, in.ID)
	return api.OK(refreshedBody{ExpiresAt: expires}), err
}
