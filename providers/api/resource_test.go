package api

import (
	"context"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// shown is an Authenticator that remembers what it was shown.
type shown struct {
	as
	last services.Credentials
}

func (s *shown) Authenticate(ctx context.Context, c services.Credentials) (services.Caller, string, error) {
	s.last = c
	return s.as.Authenticate(ctx, c)
}

// TestResources: the authenticator hears which resource is asked for, and refusals say
// what would be let in and where to get it.
func TestResources(t *testing.T) {
	t.Parallel()
	for public, base := range map[string]string{"": "http://example.com", "https://uaol.example.com": "https://uaol.example.com"} {
		engine, seen := gin.New(), &shown{}
		Mount(engine, Guards{Authenticator: seen, Public: public}, true,
			Post("/mcp", "all", whoAmI, Resource("/mcp")), Get("/mcp", "all", whoAmI, Resource("/mcp")), Post("/other", "none", whoAmI),
			Raw("POST", "/mcp/p/{profile}", "a part", func(c *gin.Context, _ services.Caller) { c.JSON(200, gin.H{}) }, Resource("/mcp")))
		user := services.Caller{Role: services.RoleUser, OrgRole: services.OrgMember}
		scoped, viewer := user, user
		scoped.Scopes, viewer.OrgRole = "jobs:write", services.OrgViewer
		fitting := user
		fitting.Scopes = "mcp:write"
		metadata := `resource_metadata="` + base + `/.well-known/oauth-protected-resource`
		for name, test := range map[string]struct {
			method, path string
			headers      []string
			status       int
			challenge    string
		}{
			"nobody":                   {"POST", "/mcp", nil, 401, `Bearer ` + metadata + `/mcp", scope="mcp:write"`},
			"nobody, reading":          {"GET", "/mcp", nil, 401, `Bearer ` + metadata + `/mcp", scope="mcp:write"`},
			"nobody, at a part":        {"POST", "/mcp/p/a%20b", nil, 401, `Bearer ` + metadata + `/mcp/p/a%20b", scope="mcp:write"`},
			"a guest":                  {"POST", "/mcp", []string{GuestHeader, "g"}, 401, `Bearer ` + metadata + `/mcp", scope="mcp:write"`},
			"a bad key":                {"POST", "/mcp", []string{"X-API-Key", "bad"}, 401, `Bearer error="invalid_token", ` + metadata + `/mcp", scope="mcp:write"`},
			"a key for something else": {"POST", "/mcp", key(t, scoped), 403, `Bearer error="insufficient_scope", ` + metadata + `/mcp", scope="mcp:write"`},
			"a viewer, whom no other token would help": {"POST", "/mcp", key(t, viewer), 403, ""},
			"a user":                     {"POST", "/mcp", key(t, user), 200, ""},
			"a key for it":               {"GET", "/mcp", key(t, fitting), 200, ""},
			"nobody, at no resource":     {"POST", "/other", nil, 401, ""},
			"a bad key there":            {"POST", "/other", []string{"X-API-Key", "bad"}, 401, ""},
			"a key for something, there": {"POST", "/other", key(t, scoped), 403, ""},
		} {
			got := do(engine, test.method, test.path, nil, test.headers...)
			require.Equal(t, test.status, got.Code, "%s: %s", name, got.Body)
			require.Equal(t, test.challenge, got.Header().Get("WWW-Authenticate"), name)
		}
		do(engine, "POST", "/mcp/p/m%69ne", nil, key(t, user)...)
		require.Equal(t, base+"/mcp/p/mine", seen.last.Resource, "in one spelling")
		require.Equal(t, base+"/mcp", seen.last.Family)
		do(engine, "POST", "/other", nil, key(t, user)...)
		require.Empty(t, seen.last.Resource+seen.last.Family)
	}
}

// TestAnonymousOperationsAskNobody who is calling, whatever stands in the request.
func TestAnonymousOperationsAskNobody(t *testing.T) {
	t.Parallel()
	engine, seen := gin.New(), &shown{}
	attempts := 0
	Mount(engine, Guards{Authenticator: seen, Limit: func(*gin.Context, services.Caller) error { return nil },
		Attempt: func(_ *gin.Context, _ string, try func() error) error { attempts++; return try() }}, true,
		Post("/token", "own credentials", whoAmI, Anonymous()), Post("/open", "ours, if any", whoAmI, Allow(Public)))
	for _, headers := range [][]string{{"Authorization", "Basic eDp5"}, {"Authorization", "Bearer x"}, {"X-API-Key", "bad"}, nil} {
		require.Equal(t, 200, do(engine, "POST", "/token", nil, headers...).Code)
		require.Equal(t, services.Credentials{}, seen.last)
	}
	require.Zero(t, attempts)
	require.Equal(t, 401, do(engine, "POST", "/open", nil, "X-API-Key", "bad").Code)
	require.Equal(t, 1, attempts)
}
