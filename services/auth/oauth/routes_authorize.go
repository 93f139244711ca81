package oauth

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/services"
)

// visit is what a browser's cookie says.
func (h *Handler) visit(c *gin.Context) visit {
	cookie, _ := c.Cookie(h.service.CookieName(c.Request.Context())) // without one it is new
	return h.service.openVisit(cookie)
}

// show answers an authorization request with a page.
func (h *Handler) show(c *gin.Context, _ services.Caller) {
	ctx := c.Request.Context()
	at, err := h.service.view(ctx, c.Request.URL.RawQuery, h.visit(c))
	if err != nil {
		h.fail(c, err)
		return
	}
	http.SetCookie(c.Writer, h.service.cookie(ctx, at.visit))
	h.service.asked(h.service.Base(ctx), at).write(c.Writer)
}

// signIn takes the sign-in form. After that the browser asks for the page anew, so that
// nothing is sent twice when somebody reloads it.
func (h *Handler) signIn(c *gin.Context, _ services.Caller) {
	ctx := c.Request.Context()
	form, err := posted(c)
	if err != nil {
		h.fail(c, err)
		return
	}
	before := h.visit(c)
	t, now, err := h.service.signIn(ctx, before, form.Get("ticket"), form.Get("email"), form.Get("password"))
	if text, status := signInProblem(err); text != "" {
		before.Said = text
		at, err := h.service.view(ctx, t.Query, before)
		if err != nil {
			h.fail(c, err)
			return
		}
		http.SetCookie(c.Writer, h.service.cookie(ctx, at.visit))
		page := h.service.asked(h.service.Base(ctx), at)
		if page.status = status; at.person.Account == uuid.Nil {
			page.data.Email = form.Get("email")
		}
		page.write(c.Writer)
		return
	}
	if err != nil {
		h.fail(c, err)
		return
	}
	http.SetCookie(c.Writer, h.service.cookie(ctx, now))
	leave(c, http.StatusSeeOther, "authorize?"+t.Query)
}

// decide takes the consent form.
func (h *Handler) decide(c *gin.Context, _ services.Caller) {
	ctx := c.Request.Context()
	form, err := posted(c)
	if err != nil {
		h.fail(c, err)
		return
	}
	v := h.visit(c)
	t, err := h.service.openDecision(v, form.Get("ticket"))
	if err != nil {
		h.fail(c, err)
		return
	}
	var to string
	switch decision := form.Get("decision"); decision {
	case "leave":
		to, err = "authorize?"+t.Query, h.service.leave(ctx, v)
	case "allow", "deny":
		organization, bad := uuid.Parse(form.Get("organization"))
		if bad != nil && decision == "allow" {
			err = services.Errorf(services.Invalid, "Go back and choose an organisation")
			break
		}
		to, err = h.service.decide(ctx, v, t, decision == "allow", organization)
	default:
		err = services.Errorf(services.Invalid, "Go back and decide")
	}
	if err != nil {
		h.fail(c, err)
		return
	}
	v.Session = uuid.Nil
	http.SetCookie(c.Writer, h.service.cookie(ctx, v))
	leave(c, http.StatusSeeOther, to)
}

// posted reads a form of a page of ours.
func posted(c *gin.Context) (url.Values, error) {
	if err := c.Request.ParseForm(); err != nil {
		return nil, services.Errorf(services.Invalid, "The form can't be read").Because(err)
	}
	return c.Request.PostForm, nil
}

// fail tells the program what is wrong if it may hear of it, else whoever sits there.
func (h *Handler) fail(c *gin.Context, err error) {
	if to, ok := h.service.Told(c.Request.Context(), err); ok {
		services.NoteRefusal(c.Request.Context(), "OAUTH_REFUSAL")
		leave(c, http.StatusFound, to)
		return
	}
	at := failed(err)
	if at.status >= http.StatusInternalServerError {
		_ = c.Error(err) // the access log tells it
	}
	at.write(c.Writer)
}

// leave sends the browser on. Nobody keeps where to: there may be a code in it.
func leave(c *gin.Context, status int, to string) {
	c.Header("Cache-Control", "no-store")
	c.Header("Location", to)
	c.Status(status)
	c.Writer.WriteHeaderNow()
}
