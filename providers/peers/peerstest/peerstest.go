// Package peerstest serves operations over HTTP, so that one contract test can
// run over a service itself and over its client.
package peerstest

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/peers"
	"uaol/services"
)

// Secret is the UAOL_SERVICE_SECRET of Serve's deployment.
const Secret = "a service secret of a test, 32 characters or more"

// Tokens signs and verifies with Secret.
func Tokens(t testing.TB) *peers.Tokens {
	t.Helper()
	tokens, err := peers.NewTokens(peers.Config{Secret: Secret}, false, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// Serve answers the operations as another process of ours would, until the
// test ends, and gives that process's address.
func Serve(t testing.TB, operations ...api.Operation) (url string) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	api.Mount(engine, api.Guards{Service: Tokens(t)}, true, operations...)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	return server.URL
}

// Parts are what the two bodies of an interface must agree on in an error; the
// cause stays where it arose.
type Parts struct {
	Kind    services.Kind
	Code    string
	Message string
	Details string // as JSON
}

// PartsOf takes an error apart; the zero Parts for nil.
func PartsOf(t testing.TB, err error) Parts {
	t.Helper()
	var e *services.Error
	if err == nil || !errors.As(err, &e) {
		return Parts{Kind: services.KindOf(err)}
	}
	details, jsonErr := json.Marshal(e.Details)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	return Parts{Kind: e.Kind, Code: e.Code, Message: e.Message, Details: string(details)}
}
