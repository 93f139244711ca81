package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/services"
)

func parse(t *testing.T, pairs ...string) (Config, error) {
	t.Helper()
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return config.Parse[Config](config.Of(values))
}

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func TestDefaultsAreTheRealProviders(t *testing.T) {
	t.Parallel()
	c, err := parse(t)
	require.NoError(t, err)
	require.Equal(t, []string{"http://localhost:8080"}, c.Frontends())
	all := New(c)
	defer all.Close()
	for name, want := range map[string]struct{ issuer, redirect string }{
		"google":  {"https://accounts.google.com", "http://localhost:3000/auth/google/callback"},
		"outlook": {"https://login.microsoftonline.com/common/v2.0", "http://localhost:3000/auth/outlook/callback"},
		"icloud":  {"https://appleid.apple.com", "http://localhost:3000/auth/icloud/callback"},
		"oidc":    {"", "http://localhost:3000/auth/oidc/callback"},
	} {
		p := all.Named(name)
		require.Equal(t, want.issuer, p.issuer)
		require.Equal(t, want.redirect, p.Redirect())
		require.True(t, services.Is(p.Configured(), services.Unconfigured))
	}
	require.Equal(t, []string{"openid", "email", "profile"}, all.Named("oidc").scopes)
	c, err = parse(t, "OUTLOOK_TENANT_ID", "Contoso.onmicrosoft.com", "FRONTEND_URL", "https://a.test/, http://b.test/app")
	require.NoError(t, err)
	require.Equal(t, "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0", New(c).Named("outlook").issuer)
	require.Equal(t, []string{"https://a.test", "http://b.test/app"}, c.Frontends())
}

func TestBadSettingsNameTheirVariable(t *testing.T) {
	t.Parallel()
	organization := uuid.NewString()
	good := pemOf(t, ecKey(t, elliptic.P256()))
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, c := range [][]string{
		{"FRONTEND_URL", "FRONTEND_URL", "localhost:8080"},
		{"FRONTEND_URL", "FRONTEND_URL", ","},
		{"FRONTEND_URL", "FRONTEND_URL", "https://a.test,javascript:alert(1)"},
		{"FRONTEND_URL", "FRONTEND_URL", "https://a.test?x=1"},
		{"FRONTEND_URL", "FRONTEND_URL", "https://a.test#x"},
		{"FRONTEND_URL", "FRONTEND_URL", "https://user@a.test"},
		{"GOOGLE_ISSUER", "GOOGLE_ISSUER", "accounts.google.com"},
		{"OUTLOOK_ISSUER", "OUTLOOK_ISSUER", "ftp://a.test"},
		{"ICLOUD_ISSUER", "ICLOUD_ISSUER", "https://"},
		{"OIDC_ISSUER", "OIDC_ISSUER", "https://a.test?x"},
		{"GOOGLE_REDIRECT_URI", "GOOGLE_REDIRECT_URI", "/auth/google/callback"},
		{"OUTLOOK_REDIRECT_URI", "OUTLOOK_REDIRECT_URI", "x"},
		{"ICLOUD_REDIRECT_URI", "ICLOUD_REDIRECT_URI", "x"},
		{"OIDC_REDIRECT_URI", "OIDC_REDIRECT_URI", "x"},
		{"OUTLOOK_TENANT", "OUTLOOK_TENANT", "a/b"},
		{"OUTLOOK_TENANT", "OUTLOOK_TENANT_ID", "a b"},
		{"OUTLOOK_TENANT", "OUTLOOK_TENANT", "common", "OUTLOOK_TENANT_ID", "consumers"},
		{"OIDC_SCOPES", "OIDC_SCOPES", "email profile"},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "ops"},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "=admin"},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "ops=root"},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "ops=admin,eng=x:member"},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "eng=" + organization},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "eng=" + organization + ":king"},
		{"OIDC_GROUP_ROLES", "OIDC_GROUP_ROLES", "eng=" + uuid.Nil.String() + ":member"},
		{"ICLOUD_CLIENT_SECRET", "ICLOUD_CLIENT_SECRET", "-----BEGIN PRIVATE KEY-----\nabc"},
		{"ICLOUD_CLIENT_SECRET", "ICLOUD_CLIENT_SECRET", pemOf(t, weak)},
		{"ICLOUD_CLIENT_SECRET", "ICLOUD_CLIENT_SECRET", pemOf(t, ecKey(t, elliptic.P384()))},
		{"ICLOUD_TEAM_ID", "ICLOUD_CLIENT_SECRET", good, "ICLOUD_KEY_ID", "k"},
		{"ICLOUD_KEY_ID", "ICLOUD_CLIENT_SECRET", good, "ICLOUD_TEAM_ID", "t"},
	} {
		_, err := parse(t, c[1:]...)
		var fault *config.Fault
		require.ErrorAs(t, err, &fault, strings.Join(c[1:], " "))
		require.Equal(t, c[0], fault.Variable)
		require.NotContains(t, err.Error(), "BEGIN", "secrets are not shown")
	}
}

func TestGroupRolesAreRead(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	c, err := parse(t, "OIDC_GROUP_ROLES", " ops = admin ,cn=eng="+id.String()+":viewer,")
	require.NoError(t, err)
	roles, err := c.Roles()
	require.NoError(t, err)
	require.Equal(t, []GroupRole{{Group: "ops", Role: services.OrgAdmin}, {Group: "cn=eng", Organization: id, Role: services.OrgViewer}}, roles)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	for want, pairs := range map[string][]string{
		"Google OAuth is not configured. Please set GOOGLE_CLIENT_SECRET in backend/.env":  {"GOOGLE_CLIENT_ID", "x"},
		"Apple Sign In is not configured. Please set ICLOUD_CLIENT_SECRET in backend/.env": {"ICLOUD_CLIENT_ID", "x"},
		"OpenID sign-in is not configured. Please set OIDC_CLIENT_ID in backend/.env":      {"OIDC_ISSUER", "https://a.test"},
	} {
		c, err := parse(t, pairs...)
		require.NoError(t, err)
		name := map[string]string{"G": "google", "A": "icloud", "O": "oidc"}[want[:1]]
		require.EqualError(t, New(c).Named(name).Configured(), want)
	}
	c, err := parse(t, "OIDC_ISSUER", "https://a.test", "OIDC_CLIENT_ID", "x")
	require.NoError(t, err)
	require.NoError(t, New(c).Named("oidc").Configured(), "a public client has no secret")
}

func TestApplesClientSecret(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P256())
	for _, text := range []string{pemOf(t, key), strings.ReplaceAll(pemOf(t, key), "\n", `\n`)} {
		c, err := parse(t, "ICLOUD_CLIENT_ID", "id", "ICLOUD_CLIENT_SECRET", text, "ICLOUD_TEAM_ID", "team", "ICLOUD_KEY_ID", "key")
		require.NoError(t, err)
		secret, err := New(c).Named("icloud").secret()
		require.NoError(t, err)
		var claims jwt.RegisteredClaims
		token, err := jwt.ParseWithClaims(secret, &claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }, jwt.WithValidMethods([]string{"ES256"}))
		require.NoError(t, err)
		require.Equal(t, "key", token.Header["kid"])
		require.Equal(t, "team", claims.Issuer)
		require.Equal(t, "id", claims.Subject)
		require.Equal(t, jwt.ClaimStrings{"https://appleid.apple.com"}, claims.Audience)
		require.WithinDuration(t, time.Now().Add(appleSecretLife), claims.ExpiresAt.Time, 10*time.Second)
	}
	c, err := parse(t, "ICLOUD_CLIENT_ID", "id", "ICLOUD_CLIENT_SECRET", "made.elsewhere.long ago")
	require.NoError(t, err)
	secret, err := New(c).Named("icloud").secret()
	require.NoError(t, err)
	require.Equal(t, "made.elsewhere.long ago", secret)
}

func TestCodesOfProvidersAreBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"access_denied": "access_denied", "user_cancelled_authorize": "user_cancelled_authorize", "AADSTS50105": "AADSTS50105",
		"": "unknown_error", "a b": "unknown_error", "<b>": "unknown_error", "é": "unknown_error", strings.Repeat("a", 61): "unknown_error",
	} {
		require.Equal(t, want, Code(text), text)
	}
}

func TestMicrosoftsTenants(t *testing.T) {
	t.Parallel()
	const (
		several = "https://login.test/{tenantid}/v2.0"
		one     = "https://login.test/0b3f9f4e-4a3c-4a5e-8a57-111111111111/v2.0"
		tenant  = "0b3f9f4e-4a3c-4a5e-8a57-111111111111"
		other   = "0b3f9f4e-4a3c-4a5e-8a57-222222222222"
	)
	for _, c := range []struct {
		configured, announced, issuer, tenant string
		accepted                              bool
	}{
		{common, several, one, tenant, true},
		{common, several, one, other, false},
		{common, several, one, "", false},
		{common, several, several, "{tenantid}", false},
		{common, several, one, strings.ToUpper(tenant), false},
		{tenant, several, one, tenant, true},
		{other, several, one, tenant, false},
		{"contoso.example", several, one, tenant, false},
		{"contoso.example", one, one, tenant, true},
		{tenant, one, one, tenant, true},
		{tenant, one, one, other, false},
		{tenant, one, one, "", false},
		{consumers, one, several, tenant, false},
		{common, one, "https://elsewhere.test", tenant, false},
	} {
		require.Equal(t, c.accepted, tenants{c.configured}.accepts(c.announced, c.issuer, c.tenant), c)
	}
	require.True(t, tenants{common}.issued(several, one))
	require.False(t, tenants{common}.issued(several, "https://login.test/x/v2.0"))
	require.False(t, tenants{other}.issued(several, one))
	require.False(t, tenants{common}.issued(one, several))
	of := func(tenant string) claims { return claims{"tid": []byte(`"` + tenant + `"`)} }
	require.True(t, tenants{common}.vouch("https://login.test/"+personalTenant+"/v2.0", of(personalTenant)))
	require.False(t, tenants{common}.vouch(one, of(personalTenant)), "the issuer does not say so")
	require.False(t, tenants{common}.vouch(one, of(tenant)))
	require.True(t, sameHost("https://login.test/common/v2.0", several))
	require.False(t, sameHost("https://login.test/common/v2.0", "https://evil.test/{tenantid}/v2.0"))
	require.False(t, sameHost("https://login.test/common/v2.0", "http://login.test/{tenantid}/v2.0"))
}

func TestClaimsAreReadByTheirExactNames(t *testing.T) {
	t.Parallel()
	c := claims{"email": []byte(`"a@b.test"`), "Email_verified": []byte(`true`), "groups": []byte(`["a","",  "b"]`), "one": []byte(`"x"`), "odd": []byte(`{"a":1}`)}
	require.Equal(t, "a@b.test", c.text("email"))
	require.False(t, c.is("email_verified"))
	require.Equal(t, []string{"a", "b"}, c.list("groups"))
	require.Equal(t, []string{"x"}, c.list("one"))
	require.Empty(t, c.list("odd"))
	require.Empty(t, c.list("none"))
	for text, want := range map[string]bool{`true`: true, `"true"`: true, `1`: true, `"1"`: true, `false`: false, `"false"`: false, `0`: false, `null`: false, `"yes"`: false, `{}`: false, ``: false} {
		require.Equal(t, want, claims{"x": []byte(text)}.is("x"), text)
	}
}
