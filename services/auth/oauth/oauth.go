// Package oauth is UAOL as an OAuth 2.1 authorization server, as MCP's authorization
// asks for one: people let programs use the protected resource /mcp, or a part of it,
// in one of their organisations.
//
// Where to look:
//
//   - metadata.go: what programs find out by themselves; resource.go: which URLs tokens
//     are for.
//   - client.go, documents.go, register.go: who programs are.
//   - request.go: what one asks for; visit.go and page.go: what its person sees;
//     consent.go: what comes of that.
//   - token.go, refresh.go, revoke.go: codes and tokens; grants.go: what people let in,
//     and how they end it.
//
// A grant is a row in sessions with more to it: whatever ends somebody's sessions ends
// what they let in, in the same statement.
package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/services"
)

// Host is what oauth needs of the service that it is a part of.
type Host interface {
	// SignIn begins a session of so long for who has an e-mail's password. Kinds:
	// Unauthenticated, Limited, Unavailable.
	SignIn(ctx context.Context, email, password string, life time.Duration) (session uuid.UUID, err error)
	// Take counts one of so many acts of a kind that the request's address may do in a
	// time; false when they are used up.
	Take(ctx context.Context, what string, most int64, within time.Duration) (bool, error)
	// AccessChanged is the event after which every process asks anew what an account
	// may do.
	AccessChanged(account, organization uuid.UUID) events.Event
	// Providers are those that people can sign in with where they know us by an address.
	Providers(base string) []Provider
}

// Provider is one that people can sign in with.
type Provider struct {
	Name  string // as its path has it
	Title string
}

// Service is the use cases.
type Service struct {
	cfg        Config
	public     string // the URL that clients know us by; "" for what each calls us
	repository *Repository
	host       Host
	bus        *events.Bus
	ring       *keyring.Ring
	documents  *documents
}

// NewService makes a Service. What programs say of themselves is fetched with the
// transport, an egress policy's: anybody may name any address.
func NewService(cfg Config, public string, repository *Repository, host Host, bus *events.Bus, ring *keyring.Ring, transport *http.Transport) *Service {
	return &Service{cfg: cfg, public: public, repository: repository, host: host, bus: bus, ring: ring, documents: newDocuments(transport)}
}

// Close ends what fetches documents.
func (s *Service) Close() { s.documents.close() }

// Base is the address by which this request's client knows us: the issuer, too.
func (s *Service) Base(ctx context.Context) string { return services.OriginFrom(ctx).Base(s.public) }

// Refusal is an error in OAuth's own words: RFC 6749, sections 4.1.2.1 and 5.2, and
// those that build on them.
type Refusal struct {
	Code        string
	Description string // for who writes the program; never holds a secret
	Status      int    // where it is not sent on by a redirect
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Description }

// Unwrap is the same in the contract's words.
func (r *Refusal) Unwrap() error {
	if r.Status == http.StatusUnauthorized {
		return services.Errorf(services.Unauthenticated, "%s", r.Description)
	}
	return services.Errorf(services.Invalid, "%s", r.Description)
}

func refuse(code, format string, args ...any) *Refusal {
	status := http.StatusBadRequest
	if code == codeInvalidClient {
		status = http.StatusUnauthorized
	}
	return &Refusal{Code: code, Description: fmt.Sprintf(format, args...), Status: status}
}

const (
	codeInvalidRequest  = "invalid_request"
	codeInvalidClient   = "invalid_client"
	codeInvalidGrant    = "invalid_grant"
	codeInvalidScope    = "invalid_scope"
	codeInvalidTarget   = "invalid_target" // RFC 8707
	codeAccessDenied    = "access_denied"
	codeUnsupported     = "unsupported_response_type"
	codeUnsupportedType = "unsupported_grant_type"
)

// What our secrets begin with, so that people and scanners know what they found.
const (
	accessPrefix  = "uat_"
	refreshPrefix = "urt_"
	codePrefix    = "uac_"
	secretPrefix  = "ucs_"
	clientPrefix  = "uci_"
)

// IsAccessToken reports whether a text has the form of an access token of ours.
func IsAccessToken(text string) bool { return strings.HasPrefix(text, accessPrefix) }

// secret makes 160 random bits.
func secret(prefix string) string { return prefix + rand.Text() + strings.ToLower(rand.Text()[:8]) }

// hash is all that is stored of a secret. Ours are random, so a fast one is enough.
func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
