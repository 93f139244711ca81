// Package credentials keeps what calls to tools carry: secrets that people give
// and tokens that a tool's authorization server gives, and puts them into the
// places that the tool's definition names. Secrets are written and never read out.
package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/services"
)

// Injection puts secrets into calls. Values are templates: {{secret.NAME}}
// stands for a secret of the tool.
type Injection struct {
	Headers   map[string]string `json:"headers,omitempty"`
	Arguments map[string]string `json:"arguments,omitempty"` // by name; a caller can't set these
	Env       map[string]string `json:"env,omitempty"`       // of a stdio tool's process
}

// OAuth is how tokens for a tool are got. The client's secret is the tool's
// secret oauth_client_secret, for a client that has one.
type OAuth struct {
	Grant        string   `json:"grant" enum:"client_credentials,authorization_code"`
	AuthorizeURL string   `json:"authorize_url,omitempty"`
	TokenURL     string   `json:"token_url,omitempty"` // without both addresses they are discovered
	ClientID     string   `json:"client_id,omitempty"` // without it UAOL makes itself known to a server that was discovered
	Scopes       []string `json:"scopes,omitempty"`
	Resource     string   `json:"resource,omitempty"` // RFC 8707
}

// Tool is what this package has to know of a tool.
type Tool struct {
	ID           uuid.UUID
	Name         string
	Version      int64 // that the rest is of
	Organization uuid.UUID
	Developer    uuid.UUID
	GatewayURL   string
	Allow        []string // host:port exceptions to the egress policy, for this tool alone
	Inject       Injection
	OAuth        *OAuth
	Proposed     bool // it is a version that waits, beside one that counts
}

// originOf is the address that a secret of the tool is for, without its path.
// The client's secret goes to the authorization server alone.
func (t Tool) originOf(name string) string {
	if name == clientSecret && t.OAuth != nil && t.OAuth.TokenURL != "" {
		return originOf(t.OAuth.TokenURL)
	}
	return originOf(t.GatewayURL)
}

// Needs reports whether calls carry something that has to be asked for.
func (t Tool) Needs() bool {
	return len(t.Inject.Headers)+len(t.Inject.Arguments)+len(t.Inject.Env) > 0 || t.OAuth != nil
}

// Consents reports whether people consent at the tool's authorization server.
func (t Tool) Consents() bool { return t.OAuth != nil && t.OAuth.Grant == authorizationCode }

// Carried is what calls carry. It is in memory only, and never logged.
type Carried struct {
	Headers   map[string]string `json:"headers,omitempty"`
	Arguments map[string]string `json:"arguments,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	// Identity tells callers' credentials apart without showing them: calls
	// with equal ones may share a session. Empty when the tool takes none.
	Identity  string    `json:"identity,omitempty"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // keep it no longer
	Secrets   []string  `json:"secrets,omitempty"`  // that are in it, for Veil
}

// Token names the token that an authorization server gave, without showing it.
func (c Carried) Token() string { return nameOf(c.Headers["Authorization"]) }

func nameOf(authorization string) string {
	sum := sha256.Sum256([]byte(authorization))
	return hex.EncodeToString(sum[:])
}

// CodeRequired tells of a secret or a consent that a tool needs first.
const CodeRequired = "CREDENTIALS_REQUIRED"

// Tools is what the registry tells this package.
type Tools interface {
	// Credentialed gives a tool as it is called now or, while it was never
	// approved, as it is proposed, if the caller may see it; kind NotFound else.
	// A version, unless it is 0, has to be that one, or the one that waits if the
	// caller may see that; kind Conflict else.
	Credentialed(ctx context.Context, caller services.Caller, id uuid.UUID, version int64) (Tool, error)
}

// Service is the use cases.
type Service struct {
	repository *Repository
	store      *Store
	ring       *keyring.Ring
	policy     *egress.Policy
	bus        *events.Bus
	cfg        Config
	log        *zap.Logger
	identities []byte // the key of identities
}

// NewService makes a Service.
func NewService(repository *Repository, store *Store, ring *keyring.Ring, policy *egress.Policy, bus *events.Bus, cfg Config, log *zap.Logger) *Service {
	s := &Service{repository: repository, store: store, ring: ring, policy: policy, bus: bus, cfg: cfg, log: log, identities: make([]byte, 32)}
	rand.Read(s.identities)
	return s
}

// Required says, as an error's details, what has to be given before a tool can
// be called.
type Required struct {
	ToolID    uuid.UUID `json:"tool_id"`
	Missing   []string  `json:"missing,omitempty"`   // secrets
	Changed   []string  `json:"changed,omitempty"`   // secrets given for another address
	Authorize bool      `json:"authorize,omitempty"` // consent at the tool's authorization server
	Scopes    []string  `json:"scopes,omitempty"`    // that the consent has to have besides
}

// For gives what a caller's calls of a tool carry. The zero Caller stands for
// the platform itself, which has the tool's own secrets alone. Kind Invalid with
// CodeRequired when something was not given yet.
func (s *Service) For(ctx context.Context, tool Tool, caller services.Caller) (Carried, error) {
	return s.Another(ctx, tool, caller, "")
}

// Another is For after the tool has refused a token, named by Carried.Token: what
// has come instead since or, if nothing has, what a renewal brings. It may be the
// same token, where another can't be had or has just been got.
func (s *Service) Another(ctx context.Context, tool Tool, caller services.Caller, refused string) (Carried, error) {
	values, err := s.values(ctx, tool, caller)
	if err != nil {
		return Carried{}, err
	}
	carried, err := tool.Inject.expand(values)
	if err != nil {
		return Carried{}, err
	}
	for _, value := range values {
		carried.Secrets = append(carried.Secrets, value)
	}
	if tool.OAuth != nil {
		token, until, err := s.token(ctx, tool, caller, refused)
		if err != nil {
			return Carried{}, err
		}
		carried.Headers["Authorization"], carried.ExpiresAt = bearer(token), until
		carried.Secrets = append(carried.Secrets, token)
	}
	carried.Identity = s.identity(carried)
	return carried, nil
}

// values gives the secrets that a tool's templates take.
func (s *Service) values(ctx context.Context, tool Tool, caller services.Caller) (map[string]string, error) {
	names := tool.Inject.names()
	if len(names) == 0 {
		return nil, nil
	}
	rows, err := s.repository.secrets(ctx, holdersOf(tool.ID, caller))
	if err != nil {
		return nil, err
	}
	values, required := map[string]string{}, Required{ToolID: tool.ID}
	for _, name := range names {
		row, found := nearest(rows, tool, name)
		if found && !row.goesTo(tool) {
			required.Changed = append(required.Changed, name)
			continue
		}
		if found {
			values[name], err = s.store.get(ctx, row.place, row.Sealed)
		}
		switch {
		case !found || errors.Is(err, errNoValue):
			required.Missing = append(required.Missing, name)
		case err != nil:
			return nil, err
		}
	}
	if len(required.Missing)+len(required.Changed) > 0 {
		return nil, required.error(tool)
	}
	return values, nil
}

func (r Required) error(tool Tool) error {
	var parts []string
	if len(r.Changed) > 0 {
		parts = append(parts, "the address of "+tool.Name+" has changed since its secrets were given ("+strings.Join(r.Changed, ", ")+"): look at the new one and give them again")
	}
	if len(r.Missing) > 0 {
		parts = append(parts, tool.Name+" needs secrets that were not given yet: "+strings.Join(r.Missing, ", "))
	}
	how := fmt.Sprintf("PUT /tools/%s/secrets/%s", tool.ID, slices.Concat(r.Changed, r.Missing)[0])
	if tool.Proposed {
		how += fmt.Sprintf(` with "scope": "tool" and "version": %d`, tool.Version)
	}
	return services.Errorf(services.Invalid, "%s; %s", strings.Join(parts, "; "), how).
		WithCode(CodeRequired).WithDetails(r)
}

// identity is a keyed hash over what calls carry. The key is this process's own:
// elsewhere, or after a restart, equal credentials have another identity, which
// costs a session and tells nobody anything.
func (s *Service) identity(c Carried) string {
	if len(c.Headers)+len(c.Arguments)+len(c.Env) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, s.identities)
	write := func(text string) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(text))) // a hash takes everything
		mac.Write([]byte(text))
	}
	for _, place := range []map[string]string{c.Headers, c.Arguments, c.Env} {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(place)))
		for _, name := range slices.Sorted(maps.Keys(place)) {
			write(name)
			write(place[name])
		}
	}
	return hex.EncodeToString(mac.Sum(nil))
}
