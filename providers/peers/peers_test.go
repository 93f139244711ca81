package peers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ada = services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser}

func TestTokens(t *testing.T) {
	t.Parallel()
	tokens := peerstest.Tokens(t)
	good, err := tokens.Sign(services.Billing, ada)
	require.NoError(t, err)
	got, err := tokens.VerifyService(good, "billing")
	require.NoError(t, err)
	require.Equal(t, ada, got)

	other, err := peers.NewTokens(peers.Config{Secret: strings.Repeat("another secret ", 4)}, false, zap.NewNop())
	require.NoError(t, err)
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	admin := base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte(`"role":"user"`), []byte(`"role":"admin"`), 1))
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{}
		require.NoError(t, json.Unmarshal(payload, &claims))
		change(claims)
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		require.NoError(t, err)
		return text
	}
	same := func(jwt.MapClaims) {}
	_, err = tokens.VerifyService(sign(jwt.SigningMethodHS256, []byte(peerstest.Secret), same), "billing")
	require.NoError(t, err, "the tests below change one thing of this")
	for name, test := range map[string]struct {
		tokens          *peers.Tokens
		token, audience string
	}{
		"empty":          {tokens, "", "billing"},
		"garbage":        {tokens, "x.y.z", "billing"},
		"other audience": {tokens, good, "auth"},
		"no audience":    {tokens, good, ""},
		"other secret":   {other, good, "billing"},
		"changed":        {tokens, parts[0] + "." + admin + "." + parts[2], "billing"},
		"unsigned":       {tokens, parts[0] + "." + parts[1] + ".", "billing"},
		"none":           {tokens, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same), "billing"},
		"HS512":          {tokens, sign(jwt.SigningMethodHS512, []byte(peerstest.Secret), same), "billing"},
		"no expiry":      {tokens, sign(jwt.SigningMethodHS256, []byte(peerstest.Secret), func(c jwt.MapClaims) { delete(c, "exp") }), "billing"},
		"other issuer":   {tokens, sign(jwt.SigningMethodHS256, []byte(peerstest.Secret), func(c jwt.MapClaims) { c["iss"] = "x" }), "billing"},
		"bad account":    {tokens, sign(jwt.SigningMethodHS256, []byte(peerstest.Secret), func(c jwt.MapClaims) { c["account"] = "x" }), "billing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.tokens.VerifyService(test.token, test.audience)
			require.True(t, services.Is(err, services.Unauthenticated), err)
			require.Zero(t, got)
		})
	}
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	tokens := peerstest.Tokens(t)
	synctest.Test(t, func(t *testing.T) {
		token, err := tokens.Sign(services.Billing, ada)
		require.NoError(t, err)
		time.Sleep(89 * time.Second) // a minute, and half of one for clocks that differ
		_, err = tokens.VerifyService(token, "billing")
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		_, err = tokens.VerifyService(token, "billing")
		require.True(t, services.Is(err, services.Unauthenticated), err)
	})
}

// TestTokensAreSaidAgain: the same word is signed once for a while, of which much of its
// life is left whenever it is said, and read once; it opens no other service for that.
func TestTokensAreSaidAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens, reader := peerstest.Tokens(t), peerstest.Tokens(t)
		defer tokens.Close()
		defer reader.Close()
		sign := func() string {
			token, err := tokens.Sign(services.Billing, ada)
			require.NoError(t, err)
			return token
		}
		first := sign()
		for range 5 {
			time.Sleep(3 * time.Second)
			require.Equal(t, first, sign())
			got, err := reader.VerifyService(first, "billing")
			require.NoError(t, err)
			require.Equal(t, ada, got)
			_, err = reader.VerifyService(first, "auth")
			require.True(t, services.Is(err, services.Unauthenticated), err)
			_, err = reader.VerifyOrigin(first)
			require.True(t, services.Is(err, services.Unauthenticated), err)
		}
		admin := ada
		admin.Role = services.RoleAdmin
		other, err := tokens.Sign(services.Billing, admin)
		require.NoError(t, err)
		require.NotEqual(t, first, other)
		time.Sleep(6 * time.Second)
		second := sign()
		require.NotEqual(t, first, second)
		time.Sleep(70 * time.Second)
		_, err = reader.VerifyService(second, "billing")
		require.NoError(t, err)
		_, err = reader.VerifyService(first, "billing")
		require.True(t, services.Is(err, services.Unauthenticated), err)
		time.Sleep(23 * time.Second)
		_, err = reader.VerifyService(second, "billing")
		require.True(t, services.Is(err, services.Unauthenticated), "known, and over: %v", err)
	})
}

func TestSecret(t *testing.T) {
	t.Parallel()
	_, err := peers.NewTokens(peers.Config{}, false, zap.NewNop())
	var fault *config.Fault
	require.True(t, errors.As(err, &fault))
	require.Equal(t, "UAOL_SERVICE_SECRET", fault.Variable)
	a, err := peers.NewTokens(peers.Config{}, true, zap.NewNop())
	require.NoError(t, err)
	b, err := peers.NewTokens(peers.Config{}, true, zap.NewNop())
	require.NoError(t, err)
	token, err := a.Sign(services.Auth, ada)
	require.NoError(t, err)
	_, err = b.VerifyService(token, "auth")
	require.Error(t, err, "made by chance, each process has its own")
	empty := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "uaol", "aud": "auth", "exp": time.Now().Unix() + 60})
	text, err := empty.SignedString([]byte{})
	require.NoError(t, err)
	_, err = a.VerifyService(text, "auth")
	require.Error(t, err, "an unset secret is not an empty one")

	for _, value := range []string{"short", strings.Repeat("a", 64)} {
		_, err = config.Parse[peers.Config](config.Of(map[string]string{"UAOL_SERVICE_SECRET": value}))
		require.ErrorContains(t, err, "UAOL_SERVICE_SECRET", "in development too")
		require.NotContains(t, err.Error(), value)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]string{
		"http://a:1": "", "https://a/": "", " http://a:1 , http://b:2/ ": "",
		"":               "UAOL_BILLING_URL is not set; want the billing service's URL such as http://host:port, because this process does not run it",
		"a:1":            `UAOL_BILLING_URL holds "a:1"; want the billing service's URL`,
		"http://a:1,":    `UAOL_BILLING_URL holds "http://a:1,"; want the billing service's URL`,
		"ftp://a:1":      `UAOL_BILLING_URL holds "ftp://a:1"; want the billing service's URL`,
		"http://":        `UAOL_BILLING_URL holds "http://"; want the billing service's URL`,
		"http://u:x@a b": `UAOL_BILLING_URL holds "http://u:***@a b"; want the billing service's URL`,
	} {
		_, err := peers.New(services.Billing, "UAOL_BILLING_URL", urls, peerstest.Tokens(t))
		if want == "" {
			require.NoError(t, err, urls)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

type number struct{ N int }

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String()
}

// hangsUp takes requests and closes the connection without a word.
func hangsUp(t *testing.T) (url string, taken *atomic.Int64) {
	t.Helper()
	taken = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		taken.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	return server.URL, taken
}

// double counts its calls and answers twice the number.
func double(t *testing.T) (url string, taken *atomic.Int64) {
	t.Helper()
	taken = &atomic.Int64{}
	return peerstest.Serve(t, api.Internal("/internal/billing/double", func(ctx context.Context, in number) (number, error) {
		taken.Add(1)
		if services.CallerFrom(ctx) != ada {
			return in, services.Errorf(services.Forbidden, "not for %v", services.CallerFrom(ctx))
		}
		return number{2 * in.N}, nil
	})), taken
}

func connect(t *testing.T, urls ...string) *peers.Peer {
	t.Helper()
	p, err := peers.New(services.Billing, "UAOL_BILLING_URL", strings.Join(urls, ","), peerstest.Tokens(t))
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func asAda(t *testing.T) context.Context { return services.WithCaller(t.Context(), ada) }

func TestGoesRound(t *testing.T) {
	t.Parallel()
	a, takenA := double(t)
	b, takenB := double(t)
	p := connect(t, a, closed(t), b)
	for i := range 30 {
		for _, call := range []func(context.Context, *peers.Peer, string, number) (number, error){peers.Call[number, number], peers.CallOnce[number, number]} {
			got, err := call(asAda(t), p, "double", number{i})
			require.NoError(t, err, "what was not sent may be sent elsewhere, whatever it is")
			require.Equal(t, number{2 * i}, got)
		}
	}
	require.Equal(t, int64(60), takenA.Load()+takenB.Load())
	require.Greater(t, takenA.Load(), int64(10))
	require.Greater(t, takenB.Load(), int64(10))
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	p := connect(t, closed(t), closed(t))
	for range 3 { // also while both are left out
		_, err := peers.CallOnce[number, number](asAda(t), p, "double", number{})
		require.Equal(t, peerstest.Parts{Kind: services.Unavailable, Message: "The billing service cannot be reached; try again", Details: "null"}, peerstest.PartsOf(t, err))
		_, err = peers.Call[number, number](asAda(t), p, "double", number{})
		require.True(t, services.Is(err, services.Unavailable), err)
	}
}

func TestSentOnce(t *testing.T) {
	t.Parallel()
	bad, taken := hangsUp(t)
	good, _ := double(t)
	p := connect(t, bad, good)
	unknown := int64(0)
	for range 6 {
		_, err := peers.CallOnce[number, number](asAda(t), p, "double", number{1})
		if err != nil {
			unknown++
			require.Equal(t, peerstest.Parts{Kind: services.Timeout, Code: "OUTCOME_UNKNOWN",
				Message: "The billing service did not answer; the outcome is unknown", Details: "null"}, peerstest.PartsOf(t, err))
		}
	}
	require.Positive(t, unknown)
	require.Equal(t, unknown, taken.Load(), "each was written once")
	for range 4 {
		got, err := peers.Call[number, number](asAda(t), p, "double", number{1})
		require.NoError(t, err, "what may be repeated is, elsewhere")
		require.Equal(t, number{2}, got)
	}
}

// TestDeadline: the caller's time runs out while a service works.
func TestDeadline(t *testing.T) {
	t.Parallel()
	arrived, end := make(chan struct{}, 4), make(chan struct{})
	url := peerstest.Serve(t, api.Internal("/internal/billing/slow", func(context.Context, number) (number, error) {
		arrived <- struct{}{}
		<-end
		return number{}, nil
	}))
	defer close(end)
	p := connect(t, url)
	late := func(call func(context.Context, *peers.Peer, string, number) (number, error)) error {
		ctx, cancel := context.WithCancelCause(asAda(t))
		go func() { <-arrived; cancel(nil) }()
		_, err := call(ctx, p, "slow", number{})
		return err
	}
	err := late(peers.CallOnce[number, number])
	require.Equal(t, "OUTCOME_UNKNOWN", peerstest.PartsOf(t, err).Code, "it was written, so nobody knows")
	require.True(t, services.Is(late(peers.Call[number, number]), services.Unavailable))

	over, cancel := context.WithDeadline(asAda(t), time.Now().Add(-time.Second))
	defer cancel()
	_, err = peers.CallOnce[number, number](over, p, "slow", number{})
	require.Equal(t, peerstest.Parts{Kind: services.Timeout, Message: "The billing service took too long", Details: "null"}, peerstest.PartsOf(t, err))
	require.Empty(t, arrived, "and was never sent")
}

// TestErrorPartsCross the wire: kind, code, message and details; the cause stays.
func TestErrorPartsCross(t *testing.T) {
	t.Parallel()
	var answer error
	url := peerstest.Serve(t, api.Internal("/internal/billing/fail", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, answer }))
	p := connect(t, url)
	for _, e := range []*services.Error{
		services.Errorf(services.Insufficient, "Insufficient credits. Required: %d, Available: %d", 2, 1),
		services.Faults(services.Fault{Path: "body.x", Message: "is bad"}),
		services.Errorf(services.Upstream, "bad").WithCode("OWN").WithDetails(map[string]any{"code": -32000}),
		services.Errorf(services.Unconfigured, "set it").WithCode("OAUTH_NOT_CONFIGURED"),
		services.Errorf(services.Unauthenticated, "Invalid token"),
		services.Errorf(services.NotFound, "Tool not found").Because(errors.New("hunter2")),
		services.Errorf(services.Limited, "later"),
	} {
		answer = e
		_, err := peers.Call[struct{}, struct{}](asAda(t), p, "fail", struct{}{})
		require.Equal(t, peerstest.PartsOf(t, e), peerstest.PartsOf(t, err))
		require.NotContains(t, err.Error(), "hunter2")
	}
	answer = errors.New("hunter2")
	_, err := peers.Call[struct{}, struct{}](asAda(t), p, "fail", struct{}{})
	require.Equal(t, peerstest.Parts{Kind: services.Internal, Message: "An internal error occurred", Details: "null"}, peerstest.PartsOf(t, err))

	_, err = peers.Call[struct{}, struct{}](asAda(t), p, "no-such", struct{}{})
	require.True(t, services.Is(err, services.Unavailable), "another version of ours, or not ours at all: %v", err)
}

// TestStrangers: answers that are not a service's of ours.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusTemporaryRedirect)
		},
		"html":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		"teapot": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			_, err := peers.Call[number, number](asAda(t), connect(t, server.URL), "double", number{})
			require.True(t, services.Is(err, services.Unavailable), err)
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(server.Close)
	_, err := peers.Call[number, number](asAda(t), connect(t, server.URL), "double", number{})
	require.True(t, services.Is(err, services.Internal), err)
}

// TestOtherDeployment: another secret, and the request's id travels along.
func TestOtherDeployment(t *testing.T) {
	t.Parallel()
	url, taken := double(t)
	tokens, err := peers.NewTokens(peers.Config{Secret: strings.Repeat("another secret ", 4)}, false, zap.NewNop())
	require.NoError(t, err)
	p, err := peers.New(services.Billing, "X", url, tokens)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	_, err = peers.Call[number, number](asAda(t), p, "double", number{})
	require.Equal(t, peerstest.Parts{Kind: services.Unavailable, Message: "The billing service cannot be used; try again", Details: "null"}, peerstest.PartsOf(t, err),
		"the caller has done nothing wrong")
	require.ErrorContains(t, err, "UAOL_SERVICE_SECRET", "for the log")
	require.Zero(t, taken.Load())

	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get(api.RequestHeader)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	_, err = peers.Call[number, number](services.WithRequestID(asAda(t), "req-1"), connect(t, server.URL), "double", number{})
	require.NoError(t, err)
	require.Equal(t, "req-1", seen)
}
