package peers

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/secrets"
	"uaol/providers/tlsfiles"
	"uaol/services"
)

// Whole says that this process runs every service.
type Whole bool

// Tokens signs and verifies service tokens, and holds the connections on which
// a process sends them.
type Tokens struct {
	key     []byte                 // signs
	keys    jwt.VerificationKeySet // each verifies
	network *network
	mutual  *tlsfiles.Pair // nil: other services show no certificate
	known   memories
}

// lifetime of a service token: long enough for requests that follow each other, with
// room for clocks that differ.
const (
	lifetime = time.Minute
	leeway   = 30 * time.Second
	issuer   = "uaol"
)

// NewTokens takes the shared secret. A process that runs everything needs
// none: a random one shuts its internal routes.
func NewTokens(cfg Config, whole Whole, log *zap.Logger) (*Tokens, error) {
	t := &Tokens{known: newMemories()}
	if cfg.Secret == "" {
		if !whole {
			return nil, &config.Fault{Variable: "UAOL_SERVICE_SECRET",
				Want: "the same random text of at least " + strconv.Itoa(secrets.MinLength) + " characters in every process, because this one runs only some of the services"}
		}
		cfg.Secret = rand.Text() + rand.Text()
	}
	t.key = []byte(cfg.Secret)
	t.keys.Keys = []jwt.VerificationKey{t.key}
	if cfg.Previous != "" {
		t.keys.Keys = append(t.keys.Keys, []byte(cfg.Previous))
	}
	if files, ok := cfg.Files(); ok {
		var err error
		if t.mutual, err = tlsfiles.Open(files, log.Named("peers")); err != nil {
			return nil, &config.Fault{Variable: "UAOL_PEER_TLS_CERT", Value: files.Cert, Want: "a certificate that can be used: " + err.Error()}
		}
	}
	t.network = newNetwork(t.mutual)
	return t, nil
}

// Close ends connections that are idle or were never used, for which a service
// that stops would wait, and waits for what is being asked of addresses.
func (t *Tokens) Close() { t.network.close() }

// claims carry who a request is for, with all that decides what they may do there.
type claims struct {
	jwt.RegisteredClaims
	services.Caller
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
	return t.known.origins.of(origin, func() (string, time.Time, error) {
		return t.sign(originClaims{RegisteredClaims: registered(gatewayAudience), Origin: origin})
	})
}

// VerifyOrigin reads what SignOrigin said; kind Unauthenticated when it is not ours.
func (t *Tokens) VerifyOrigin(token string) (services.Origin, error) {
	return t.known.readOrigins.of(heard{token, gatewayAudience}, func() (services.Origin, time.Time, error) {
		var c originClaims
		end, err := t.read(token, gatewayAudience, &c, &c.RegisteredClaims)
		return c.Origin, end, err
	})
}

func registered(audience string) jwt.RegisteredClaims {
	now := time.Now()
	return jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
	}
}

// sign makes a token and tells until when it is to be said again.
func (t *Tokens) sign(claims jwt.Claims) (token string, end time.Time, err error) {
	end = time.Now().Add(sayAgain)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.key)
	return token, end, err
}

// read verifies a token and says when it ends; kind Unauthenticated.
func (t *Tokens) read(token, audience string, into jwt.Claims, registered *jwt.RegisteredClaims) (end time.Time, err error) {
	_, err = jwt.ParseWithClaims(token, into, func(*jwt.Token) (any, error) { return t.keys, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	if err != nil {
		return end, services.Errorf(services.Unauthenticated, refused).Because(err)
	}
	return registered.ExpiresAt.Add(leeway), nil
}

// Sign makes a token for one service, on behalf of a caller. Whoever reads it needs
// no address of theirs, so that does not travel.
func (t *Tokens) Sign(audience services.Name, caller services.Caller) (string, error) {
	caller.Email = ""
	return t.known.callers.of(acting{audience, caller}, func() (string, time.Time, error) {
		return t.sign(claims{RegisteredClaims: registered(string(audience)), Caller: caller})
	})
}

// refused is the answer to a bad service token; package api gives it too.
const refused = "Service token required"

// VerifyService tells for whom a token acts; kind Unauthenticated when it is
// not ours, expired, or meant for another service.
func (t *Tokens) VerifyService(token, audience string) (services.Caller, error) {
	return t.known.readCallers.of(heard{token, audience}, func() (services.Caller, time.Time, error) {
		var c claims
		end, err := t.read(token, audience, &c, &c.RegisteredClaims)
		return c.Caller, end, err
	})
}

// VerifyPeer refuses whoever has shown no certificate of ours, where services do;
// kind Unauthenticated. The listener has verified what was shown.
func (t *Tokens) VerifyPeer(r *http.Request) error {
	if t.mutual == nil || r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return nil
	}
	return services.Errorf(services.Unauthenticated, refused).
		Because(errors.New("no certificate was shown that comes from UAOL_PEER_TLS_CA"))
}
