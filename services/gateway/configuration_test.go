package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/app"
	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/services"
	"uaol/services/gateway"
)

// asker is whoever asks.
type asker struct{ services.Caller }

func (a asker) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return a.Caller, "", nil
}

type setting struct {
	Variable, Part, Doc, Wants, Default, Source, Value string
	Set, Secret                                        bool
}

// configuration is what somebody is told of an environment.
func configuration(t *testing.T, env *config.Environment, who services.Caller) (status int, text string, all map[string]setting) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	api.Mount(engine, api.Guards{Authenticator: asker{who}}, false, gateway.NewConfigurationHandler(app.Settings(), env).Operations()...)
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/configuration", nil))
	var body struct{ Data []setting }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
	all = map[string]setting{}
	for _, s := range body.Data {
		all[s.Variable] = s
	}
	return w.Code, w.Body.String(), all
}

func someAdmin() services.Caller {
	return services.Caller{Account: uuid.New(), Role: services.RoleAdmin}
}

// TestNoSecretIsShown: whatever is set to what nobody may see, nobody sees it.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	const marker = "MARKER-that-nobody-may-see"
	values, secrets := map[string]string{}, 0
	for _, s := range app.Settings() {
		if s.Secret {
			values[s.Variable] = marker
			secrets++
		} else {
			values[s.Variable] = "redis://somebody:" + marker + "@db.example.com:6379/0" // as an address may hold one
		}
	}
	require.Greater(t, secrets, 30)
	status, text, all := configuration(t, config.Of(values), someAdmin())
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, text, "MARKER")
	require.Len(t, all, len(values))
	shown := 0
	for _, s := range all {
		require.True(t, s.Set, s.Variable)
		if s.Secret {
			require.Equal(t, "set", s.Value, s.Variable)
			shown++
		} else {
			require.Equal(t, "redis://somebody:***@db.example.com:6379/0", s.Value, s.Variable)
		}
	}
	require.Equal(t, secrets, shown)
}

func TestWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("REGISTRATION=invite\n"), 0o600))
	env, err := config.ReadFrom([]string{"LOG_LEVEL=debug", "JWT_SECRET=" + uuid.NewString(), "GUESTS="}, dir)
	require.NoError(t, err)
	_, _, all := configuration(t, env, someAdmin())
	level := all["LOG_LEVEL"]
	require.Equal(t, "debug", level.Value)
	require.Equal(t, "environment", level.Source)
	require.Equal(t, "logging", level.Part)
	require.True(t, level.Set)
	require.NotEmpty(t, level.Doc)
	require.NotEmpty(t, level.Wants)
	require.Equal(t, setting{Variable: "REGISTRATION", Part: "auth", Doc: all["REGISTRATION"].Doc, Wants: "open, invite or closed", Default: "open", Set: true, Source: ".env", Value: "invite"}, all["REGISTRATION"])
	require.Equal(t, setting{Variable: "GUESTS", Part: "auth", Doc: all["GUESTS"].Doc, Wants: "on or off", Default: "on", Value: "on"}, all["GUESTS"], "what is empty is not set")
	require.Equal(t, "set", all["JWT_SECRET"].Value)
	require.Equal(t, "not set", all["STRIPE_SECRET_KEY"].Value)
	require.False(t, all["STRIPE_SECRET_KEY"].Set)
	for _, s := range all {
		require.NotEmpty(t, s.Part, s.Variable)
		require.NotContains(t, s.Part, "uaol", s.Variable)
	}
}

func TestWhoMaySeeTheConfiguration(t *testing.T) {
	t.Parallel()
	env := config.Of(nil)
	for name, c := range map[string]struct {
		who    services.Caller
		status int
	}{
		"nobody":                    {services.Caller{}, http.StatusUnauthorized},
		"a guest":                   {services.Caller{Account: uuid.New(), Role: services.RoleGuest}, http.StatusUnauthorized},
		"an owner":                  {services.Caller{Account: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner}, http.StatusForbidden},
		"an admin's key for others": {services.Caller{Account: uuid.New(), Role: services.RoleAdmin, Scopes: "jobs:read"}, http.StatusForbidden},
		"an admin's key that may":   {services.Caller{Account: uuid.New(), Role: services.RoleAdmin, Scopes: "configuration:read"}, http.StatusOK},
		"an admin":                  {someAdmin(), http.StatusOK},
	} {
		status, text, _ := configuration(t, env, c.who)
		require.Equal(t, c.status, status, "%s: %s", name, text)
	}
}
