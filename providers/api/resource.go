package api

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"uaol/services"
)

// ResourceMetadata is the path below which protected resources are described, each at
// its own path (RFC 9728, section 3.1).
const ResourceMetadata = "/.well-known/oauth-protected-resource"

// pathOf is the path that is asked for in one spelling, however it was sent.
func pathOf(r *http.Request) string { return (&url.URL{Path: r.URL.Path}).EscapedPath() }

// credentials reads what a request says of its caller.
func (op *Operation) credentials(r *http.Request) services.Credentials {
	if op.anonymous {
		return services.Credentials{}
	}
	return Credentials(r)
}

// challenge says in a refusal of a protected resource what would be let in, and where
// to get it: RFC 6750, section 3, and RFC 9728, section 5.1. Credentials that were
// given and do not count are told from none.
func (g Guards) challenge(c *gin.Context, op *Operation, caller services.Caller, err error) {
	if op.resource == "" {
		return
	}
	where := `resource_metadata="` + services.OriginFrom(c.Request.Context()).Base(g.Public) + ResourceMetadata + pathOf(c.Request) + `", scope="` + op.Scope + `"`
	given := op.credentials(c.Request)
	switch {
	case services.Is(err, services.Unauthenticated) && given.Bearer == "" && given.APIKey == "":
		c.Header("WWW-Authenticate", "Bearer "+where)
	case services.Is(err, services.Unauthenticated):
		c.Header("WWW-Authenticate", `Bearer error="invalid_token", `+where)
	case services.Is(err, services.Forbidden) && caller.Known() && !caller.Scopes.Allow(op.Scope):
		c.Header("WWW-Authenticate", `Bearer error="insufficient_scope", `+where)
	}
}
