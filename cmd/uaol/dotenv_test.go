package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// publicSecrets are those that sources of the original, or of many another program, have
// as a default: who knows them could sign anybody's tokens.
var publicSecrets = []string{"", "secret", "your-secret-key", "your-secret-key-change-in-production", "default-secret-change-in-production", "change-me", "uaol-secret"}

// signedWith reports whether a token was signed with a secret.
func signedWith(token, secret string) bool {
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secret), nil })
	return err == nil
}

// startIn serves from a directory of its own with a .env in it.
func startIn(t *testing.T, dotenv string) *program {
	t.Helper()
	dir := openDir(t)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, "settings.env")
	require.NoError(t, os.WriteFile(file, []byte(dotenv), 0o600))
	return startProgram(t, dir, "UAOL_ENV_FILE="+file)
}

func tokenOf(t *testing.T, p *program, email string) string {
	t.Helper()
	var user struct{ Token string }
	p.do(t, "", "POST", "/auth/register", fmt.Sprintf(`{"email":%q}`, email), &user)
	require.NotEmpty(t, user.Token)
	return user.Token
}

func (p *program) status(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/auth/me", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// TestSettingsOfDotenvCount is the original's fault 14: what .env says is what counts,
// whoever reads it, and no secret has a default that others know.
func TestSettingsOfDotenvCount(t *testing.T) {
	t.Parallel()
	const secret = "the-secret-of-this-dotenv-and-no-other-one"
	p := startIn(t, "JWT_SECRET="+secret+"\nENCRYPTION_SECRET=another-secret-that-only-this-dotenv-has\nRATE_LIMIT_PER_MINUTE=7\n")
	token := tokenOf(t, p, "ada@example.com")
	require.True(t, signedWith(token, secret), "tokens are signed with what .env says")
	require.Equal(t, http.StatusOK, p.status(t, token))
	last := 0
	for range 7 {
		last = p.status(t, token)
	}
	require.Equal(t, http.StatusTooManyRequests, last, "and so is its limit")

	bare := startIn(t, "LOG_LEVEL=info\n")
	own := tokenOf(t, bare, "ada@example.com")
	require.Equal(t, http.StatusUnauthorized, bare.status(t, token), "another server's secret is another one")
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(own, claims)
	require.NoError(t, err)
	for _, public := range publicSecrets {
		require.False(t, signedWith(own, public), "%q signs nothing", public)
		forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(public))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, bare.status(t, forged), "%q opens nothing", public)
	}
	require.Equal(t, http.StatusOK, bare.status(t, own))
}

// TestPublicSecretsAreRefused: in production no secret is made up, and one that anybody
// could guess is none.
func TestPublicSecretsAreRefused(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"JWT_SECRET", "ENCRYPTION_SECRET"} {
		for _, value := range []string{"", "your-secret-key"} {
			dir := openDir(t)
			settings := map[string]string{"UAOL_ENV": "production", "DATABASE_URL": "postgres://127.0.0.1:1/none", "JWT_SECRET": strings.Repeat("k7Qz", 10), "ENCRYPTION_SECRET": strings.Repeat("z9Wm", 10)}
			settings[variable] = value
			var variables []string
			for name, v := range settings {
				variables = append(variables, name+"="+v)
			}
			_, err := launch(dir, variables...)
			require.ErrorContains(t, err, variable, "%q", value)
			require.False(t, bytes.Contains([]byte(err.Error()), []byte("k7Qz")), "and says no secret")
		}
	}
}
