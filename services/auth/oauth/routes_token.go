package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"uaol/providers/api"
	"uaol/services"
)

func (h *Handler) token(c *gin.Context, _ services.Caller) {
	body, err := read(c, "application/x-www-form-urlencoded")
	var made Tokens
	if err == nil {
		made, err = h.service.Token(c.Request.Context(), body, c.Request.Header)
	}
	tell(c, http.StatusOK, made, err)
}

func (h *Handler) register(c *gin.Context, _ services.Caller) {
	body, err := read(c, "application/json")
	var made Registered
	if err == nil {
		made, err = h.service.Register(c.Request.Context(), []byte(body))
	}
	tell(c, http.StatusCreated, made, err)
}

func (h *Handler) revoke(c *gin.Context, _ services.Caller) {
	body, err := read(c, "application/x-www-form-urlencoded")
	if err == nil {
		err = h.service.Revoke(c.Request.Context(), body, c.Request.Header)
	}
	tell(c, http.StatusOK, struct{}{}, err)
}

// read reads a body of one type.
func read(c *gin.Context, wanted string) (string, error) {
	if kind, _, _ := mime.ParseMediaType(c.GetHeader("Content-Type")); kind != wanted {
		return "", refuse(codeInvalidRequest, "The body must be %s", wanted)
	}
	body, err := io.ReadAll(c.Request.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", services.Errorf(services.TooLarge, "The body is larger than %d bytes", maxForm)
	case err != nil:
		return "", services.Errorf(services.Invalid, "The body can't be read").Because(err)
	}
	return string(body), nil
}

// tell answers a program with what was made for it. Nobody keeps that.
func tell(c *gin.Context, status int, made any, err error) {
	if err != nil {
		fault(c, err)
		return
	}
	private(c)
	c.JSON(status, made)
}

func private(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
}

// problem is an error of the token endpoint and its like: RFC 6749, section 5.2.
type problem struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// fault answers a program in OAuth's words.
func fault(c *gin.Context, err error) {
	private(c)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		if refusal.Status == http.StatusUnauthorized && c.GetHeader("Authorization") != "" {
			c.Header("WWW-Authenticate", `Basic realm="uaol"`)
		}
		c.AbortWithStatusJSON(refusal.Status, problem{refusal.Code, refusal.Description})
	case api.StatusOf(err) >= http.StatusInternalServerError:
		_ = c.Error(err)
		code := "server_error"
		if services.Is(err, services.Unavailable) {
			code = "temporarily_unavailable"
		}
		c.AbortWithStatusJSON(api.StatusOf(err), problem{code, api.MessageOf(err)})
	default:
		c.AbortWithStatusJSON(api.StatusOf(err), problem{codeInvalidRequest, api.MessageOf(err)})
	}
}
