package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/services"
)

func TestLifetime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "12h": 12 * time.Hour, "30m": 30 * time.Minute, "90s": 90 * time.Second, "2 days": 2 * day, "1w": 7 * day,
		"3600": time.Hour, " 1D ": day, "1 hour": time.Hour, "15 minutes": 15 * time.Minute, "520w": 3640 * day, "3650d": 3650 * day,
		"": 0, "0": 0, "0d": 0, "-1d": 0, "1.5h": 0, "d": 0, "1y": 0, "1ms": 0, "7dd": 0, "7d 1h": 0, "3651d": 0, "999999999w": 0, "9999999999": 0,
		"１d": 0, "1\u00a0d": 0, "never": 0,
	} {
		var l Lifetime
		err := l.UnmarshalText([]byte(text))
		require.Equal(t, want, time.Duration(l), text)
		require.Equal(t, want == 0, err != nil, text)
	}
}

func FuzzLifetime(f *testing.F) {
	for _, seed := range []string{"7d", "12h", "", "999999999w", "1 day", "-1", "٣d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l Lifetime
		err := l.UnmarshalText([]byte(text))
		if err == nil && (l < Lifetime(time.Second) || time.Duration(l) > 10*365*24*time.Hour) {
			t.Fatalf("%q is %s", text, time.Duration(l))
		}
		if err != nil && l != 0 {
			t.Fatalf("%q is refused but changes the value", text)
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := map[string]string{"JWT_SECRET": "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"}
	for name, test := range map[string]struct {
		set     map[string]string
		names   string // the variable that the error names; "" for none
		without string // what must not be in it
	}{
		"development, nothing":     {},
		"production, nothing":      {set: map[string]string{"UAOL_ENV": "production"}, names: "JWT_SECRET"},
		"production":               {set: map[string]string{"UAOL_ENV": "production", "JWT_SECRET": good["JWT_SECRET"]}},
		"production, short":        {set: map[string]string{"NODE_ENV": "production", "JWT_SECRET": "hunter2"}, names: "JWT_SECRET", without: "hunter2"},
		"a bad lifetime":           {set: map[string]string{"JWT_EXPIRES_IN": "soon"}, names: "JWT_EXPIRES_IN"},
		"registration":             {set: map[string]string{"REGISTRATION": "maybe"}, names: "REGISTRATION"},
		"by invitation":            {set: map[string]string{"REGISTRATION": "invite", "GUESTS": "off"}},
		"guests":                   {set: map[string]string{"GUESTS": "yes"}, names: "GUESTS"},
		"signups":                  {set: map[string]string{"UAOL_SIGNUPS_PER_HOUR": "-1"}, names: "UAOL_SIGNUPS_PER_HOUR"},
		"audit":                    {set: map[string]string{"UAOL_AUDIT_DAYS": "0"}, names: "UAOL_AUDIT_DAYS"},
		"production, short before": {set: map[string]string{"UAOL_ENV": "production", "JWT_SECRET": good["JWT_SECRET"], "JWT_SECRET_PREVIOUS": "hunter2"}, names: "JWT_SECRET_PREVIOUS", without: "hunter2"},
		"admin without key":        {set: map[string]string{"UAOL_ADMIN_EMAIL": "root@example.com"}, names: "UAOL_ADMIN_API_KEY"},
		"key without admin":        {set: map[string]string{"UAOL_ADMIN_API_KEY": good["JWT_SECRET"]}, names: "UAOL_ADMIN_EMAIL", without: good["JWT_SECRET"]},
		"short key":                {set: map[string]string{"UAOL_ADMIN_EMAIL": "root@example.com", "UAOL_ADMIN_API_KEY": "hunter2"}, names: "UAOL_ADMIN_API_KEY", without: "hunter2"},
		"bad e-mail":               {set: map[string]string{"UAOL_ADMIN_EMAIL": "root", "UAOL_ADMIN_API_KEY": good["JWT_SECRET"]}, names: "UAOL_ADMIN_EMAIL", without: good["JWT_SECRET"]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse[Config](config.Of(test.set))
			if test.names == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.names)
			if test.without != "" {
				require.NotContains(t, err.Error(), test.without)
			}
			_ = cfg
		})
	}
	cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_ADMIN_EMAIL": "Root@Example.com", "UAOL_ADMIN_API_KEY": good["JWT_SECRET"]}))
	require.NoError(t, err)
	require.Equal(t, "root@example.com", cfg.AdminEmail)
	require.Equal(t, Lifetime(7*24*time.Hour), cfg.Lifetime)
}

func FuzzNormalEmail(f *testing.F) {
	for _, seed := range []string{"a@b.c", "A@B.C", "a@b", "Ada <a@b.c>", `"a b"@c.d`, "a@[127.0.0.1]", "a\x00@b", "ä@ö.de", "K@b.c", "(x)a@b.c", "a@b.c,d@e.f", "\xff@b.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		email, err := normalEmail(raw)
		if err != nil {
			if !services.Is(err, services.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if again, err := normalEmail(email); err != nil || again != email {
			t.Fatalf("%q is normal as %q, and that as %q: %v", raw, email, again, err)
		}
		if upper, err := normalEmail(strings.ToUpper(email)); err == nil && upper != email && strings.ToLower(strings.ToUpper(email)) == email {
			t.Fatalf("%q and %q are two accounts", email, upper)
		}
	})
}

// FuzzCredentials sends any text as each kind of credentials: refused, or a
// guest, but never a 500.
func FuzzCredentials(f *testing.F) {
	b := setup(f)
	made, err := b.service.Register(context.Background(), RegisterRequest{Email: "ada@example.com"})
	require.NoError(f, err)
	for _, seed := range []string{"", "x", made.Token, made.Token[:40], made.Key, "ey.a.b", "ey..", "Bearer", "\xff", "a\x00b", strings.Repeat("g", 200), "é", "Bearer ey.e30.x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, in := range []VerifyRequest{{Bearer: text}, {APIKey: text}, {GuestID: text, Guest: true}, {APIKey: made.Key, Organization: text}} {
			_, err := b.service.Verify(t.Context(), in)
			if kind := services.KindOf(err); kind != "" && kind != services.Unauthenticated && kind != services.Invalid && kind != services.Forbidden {
				t.Fatalf("%+v: %v", in, err)
			}
		}
		for _, header := range []string{"Authorization", "X-API-Key", "X-Guest-Id", "X-Organization"} {
			for _, path := range []string{"/auth/me", "/auth/logout"} {
				method := "GET"
				if path == "/auth/logout" {
					method = "POST"
				}
				request := httptest.NewRequest(method, path, nil)
				request.Header["X-Api-Key"] = []string{made.Key}
				request.Header[http.CanonicalHeaderKey(header)] = []string{text}
				recorder := httptest.NewRecorder()
				b.engine.ServeHTTP(recorder, request)
				if !json.Valid(recorder.Body.Bytes()) || recorder.Code >= 500 {
					t.Fatalf("%s: %q: %d %s", header, text, recorder.Code, recorder.Body)
				}
			}
		}
	})
}
