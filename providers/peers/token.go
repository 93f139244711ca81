// Package peers is how services of ours that run in different processes talk:
// short-lived service tokens, and one client that knows several addresses.
package peers

import (
	"crypto/rand"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"uaol/providers/config"
	"uaol/providers/secrets"
	"uaol/services"
)

// Config is what all services of one deployment share.
type Config struct {
	config.Process
	Secret string `env:"UAOL_SERVICE_SECRET" secret:"true" want:"the same random text of at least 32 characters in every process" doc:"shared by all processes of a deployment; needed as soon as there is more than one"`
}

// Check refuses a secret that is too short, in development too: it guards a port.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if c.Secret == "" {
		return nil
	}
	return secrets.Check("UAOL_SERVICE_SECRET", c.Secret, true)
}

// Whole says that this process runs every service.
type Whole bool

// Tokens signs and verifies service tokens, and holds the connections on which
// a process sends them.
type Tokens struct {
	key  []byte
	http *http.Client
}

func newTokens(key []byte) *Tokens {
	return &Tokens{key: key, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends connections that are idle or were never used: a service that stops
// would wait for them.
func (t *Tokens) Close() { t.http.CloseIdleConnections() }

// lifetime of a service token: one request's, with room for clocks that differ.
const (
	lifetime = time.Minute
	leeway   = 30 * time.Second
	issuer   = "uaol"
)

// NewTokens takes the shared secret. A process that runs everything needs
// none: a random one shuts its internal routes.
func NewTokens(cfg Config, whole Whole) (*Tokens, error) {
	if cfg.Secret != "" {
		return newTokens([]byte(cfg.Secret)), nil
	}
	if !whole {
		return nil, &config.Fault{Variable: "UAOL_SERVICE_SECRET",
			Want: "the same random text of at least " + strconv.Itoa(secrets.MinLength) + " characters in every process, because this one runs only some of the services"}
	}
	key := make([]byte, 32)
	rand.Read(key)
	return newTokens(key), nil
}

type claims struct {
	jwt.RegisteredClaims
	Account      uuid.UUID     `json:"account"`
	Organization uuid.UUID     `json:"organization"`
	Role         services.Role `json:"role"`
}

type originClaims struct {
	jwt.RegisteredClaims
	services.Origin
}

// gatewayAudience is that of the gateway's word about where requests come from;
// no service has this name, so it opens no internal operation.
const gatewayAudience = "origin"

// SignOrigin says where a request comes from that is passed on.
func (t *Tokens) SignOrigin(origin services.Origin) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, originClaims{RegisteredClaims: registered(gatewayAudience), Origin: origin}).SignedString(t.key)
}

// VerifyOrigin reads what SignOrigin said; kind Unauthenticated when it is not ours.
func (t *Tokens) VerifyOrigin(token string) (services.Origin, error) {
	var c originClaims
	if err := t.read(token, gatewayAudience, &c); err != nil {
		return services.Origin{}, services.Errorf(services.Unauthenticated, refused).Because(err)
	}
	return c.Origin, nil
}

func registered(audience string) jwt.RegisteredClaims {
	now := time.Now()
	return jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
	}
}

func (t *Tokens) read(token, audience string, into jwt.Claims) error {
	_, err := jwt.ParseWithClaims(token, into, func(*jwt.Token) (any, error) { return t.key, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	return err
}

// Sign makes a token for one service, on behalf of a caller.
func (t *Tokens) Sign(audience services.Name, caller services.Caller) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: registered(string(audience)),
		Account:          caller.Account, Organization: caller.Organization, Role: caller.Role,
	}).SignedString(t.key)
}

// refused is the answer to a bad service token; package api gives it too.
const refused = "Service token required"

// VerifyService tells for whom a token acts; kind Unauthenticated when it is
// not ours, expired, or meant for another service.
func (t *Tokens) VerifyService(token, audience string) (services.Caller, error) {
	var c claims
	err := t.read(token, audience, &c)
	if err != nil {
		return services.Caller{}, services.Errorf(services.Unauthenticated, refused).Because(err)
	}
	return services.Caller{Account: c.Account, Organization: c.Organization, Role: c.Role}, nil
}
