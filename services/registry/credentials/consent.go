package credentials

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"uaol/services"
)

// consent is one under way: somebody is at the tool's authorization server.
type consent struct {
	Tool     uuid.UUID  `json:"tool"`
	Account  uuid.UUID  `json:"account"` // who asked for it
	Scope    Scope      `json:"scope"`
	Holder   uuid.UUID  `json:"holder"`
	Bound    string     `json:"bound"`
	Verifier string     `json:"verifier"` // PKCE
	Server   authServer `json:"server"`
	Asked    []string   `json:"asked,omitempty"` // scopes
}

func consentBond(hash string) string { return "tool consent:" + hash }

func hashOf(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

const (
	callbackPath = "/tools/oauth/callback"
	console      = "/console"
	// consoleState begins the states of consents that lead back to the console. It only
	// chooses between two pages of the operator's: each knows whose consent it is from Finish.
	consoleState = "console."
)

// redirectURI is where authorization servers send people back to, to the letter.
func (s *Service) redirectURI() string { return s.cfg.PublicURL + callbackPath }

// back is where a browser goes with what it came back with.
func (s *Service) back(state string) string {
	if strings.HasPrefix(state, consoleState) {
		return s.cfg.PublicURL + console + "/tools/consent"
	}
	return s.cfg.Frontend + "/tools/consent"
}

// AuthorizeRequest is a consent to begin.
type AuthorizeRequest struct {
	Scope    Scope
	More     []string // scopes that a call was refused for (Required.Scopes), besides those that were granted
	ReturnTo string   // console, or "" for the frontend
}

// Authorize begins a consent and gives the page to go to.
func (s *Service) Authorize(ctx context.Context, caller services.Caller, tool Tool, in AuthorizeRequest) (page string, err error) {
	owner, err := holder(caller, tool, in.Scope, false)
	if err != nil {
		return "", atBody(err)
	}
	if !tool.Consents() {
		return "", services.Errorf(services.Conflict, "This tool takes no consent")
	}
	services.Note(ctx, "scope", string(in.Scope))
	c, err := s.client(tool)
	if err != nil {
		return "", err
	}
	defer c.close()
	server, err := c.server(ctx, tool)
	if err != nil {
		return "", err
	}
	if server.Authorize == "" {
		return "", services.Errorf(services.Upstream, "The authorization server of %s has no page for a consent", tool.Name)
	}
	before, err := s.before(ctx, caller, tool, in.Scope)
	if err != nil {
		return "", err
	}
	id := tool.OAuth.ClientID
	if id == "" {
		if server.Client, err = s.introduce(ctx, c, tool, server, before.tokens); err != nil {
			return "", err
		}
		id = server.Client.ID
	}
	asked := tool.OAuth.Scopes
	if len(asked) == 0 {
		asked = server.Scopes
	}
	if asked = slices.Clone(asked); len(in.More) > 0 {
		asked = scopesIn(asked, before.scopes, in.More)
	}
	state := rand.Text() + rand.Text()
	if in.ReturnTo == console {
		state = consoleState + state
	}
	begun := consent{
		Tool: tool.ID, Account: caller.Account, Scope: in.Scope, Holder: owner, Bound: boundTo(tool), Verifier: oauth2.GenerateVerifier(), Server: server, Asked: asked,
	}
	text, err := json.Marshal(begun)
	if err != nil {
		return "", err
	}
	hash := hashOf(state)
	if err := s.repository.addConsent(ctx, hash, begun, s.ring.Seal(text, consentBond(hash))); err != nil {
		return "", err
	}
	cfg := oauth2.Config{ClientID: id, Endpoint: oauth2.Endpoint{AuthURL: server.Authorize}, RedirectURL: s.redirectURI(), Scopes: asked}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(begun.Verifier)}
	if server.Resource != "" {
		options = append(options, oauth2.SetAuthURLParam("resource", server.Resource))
	}
	return cfg.AuthCodeURL(state, options...), nil
}

// earlier is what came of an earlier consent in the same scope.
type earlier struct {
	tokens []tokens
	scopes []string
}

func (s *Service) before(ctx context.Context, caller services.Caller, tool Tool, scope Scope) (was earlier, err error) {
	all, err := s.repository.grants(ctx, holdersOf(tool.ID, caller))
	if err != nil {
		return was, err
	}
	for _, g := range all {
		if g.Scope != scope || g.Bound != boundTo(tool) || len(g.Sealed) == 0 {
			continue
		}
		held, err := s.open(g)
		if err != nil {
			return was, err
		}
		was.tokens, was.scopes = append(was.tokens, held), append(was.scopes, strings.Fields(g.Scopes)...)
	}
	return was, nil
}

// Return is what a browser comes back with.
type Return struct {
	State  string `json:"state"`
	Code   string `json:"code,omitempty"`
	Error  string `json:"error,omitempty" doc:"the authorization server's, instead of a code"`
	Issuer string `json:"iss,omitempty" doc:"RFC 9207"`
}

var errNoConsent = services.Errorf(services.Invalid, "This consent is over, was never begun, or was begun by another account; please begin again").WithCode("CONSENT_UNKNOWN")

// Finish ends a consent for the account that began it, and gives the tool that it
// was for. Who comes back in the browser may be somebody else: a page that one
// person began can be opened by another, whose account at the authorization server
// the first would then call with. So what the browser brings counts only together
// with credentials of the account that began. These are tokens and keys, which
// browsers do not send by themselves. A cookie would do for browsers alone, and
// from a frontend on another site not even there.
// A state counts once, whatever comes of it; for others than who began it, never.
func (s *Service) Finish(ctx context.Context, caller services.Caller, tools Tools, in Return) (tool Tool, err error) {
	begun, err := s.takeConsent(ctx, caller, in.State)
	if err != nil {
		return Tool{}, err
	}
	services.Note(ctx, "toolId", begun.Tool.String())
	services.Note(ctx, "scope", string(begun.Scope))
	refused := services.Errorf(services.Upstream, "The authorization server sent no consent back")
	switch {
	case begun.Server.SaysIssuer && in.Issuer != begun.Server.Issuer, // another server's answer, passed off as this one's
		in.Issuer != "" && begun.Server.Issuer != "" && in.Issuer != begun.Server.Issuer:
		return Tool{}, services.Errorf(services.Upstream, "The answer is another authorization server's").WithCode("ISSUER_MISMATCH")
	case in.Error != "":
		return Tool{}, services.Errorf(services.Upstream, "The authorization server refused: %s", codeOf(in.Error)).WithCode("CONSENT_REFUSED")
	case in.Code == "":
		return Tool{}, refused
	}
	if tool, err = tools.Credentialed(ctx, caller, begun.Tool, 0); err != nil {
		return Tool{}, err
	}
	if tool.OAuth == nil || boundTo(tool) != begun.Bound {
		return Tool{}, services.Errorf(services.Conflict, "%s has changed since the consent was begun; look at it and begin again", tool.Name)
	}
	owner, err := holder(caller, tool, begun.Scope, false) // a role may have been lost meanwhile
	if err == nil && owner != begun.Holder {
		err = services.Errorf(services.Conflict, "The consent was begun in another organisation; choose that one and begin again")
	}
	if err != nil {
		return Tool{}, err
	}
	return tool, s.redeem(ctx, tool, begun, in.Code)
}

func (s *Service) takeConsent(ctx context.Context, caller services.Caller, state string) (begun consent, err error) {
	hash := hashOf(state)
	sealed, err := s.repository.takeConsent(ctx, hash, caller.Account)
	if services.Is(err, services.NotFound) {
		return begun, errNoConsent
	}
	if err != nil {
		return begun, err
	}
	text, err := s.ring.Open(sealed, consentBond(hash))
	if err == nil {
		err = json.Unmarshal(text, &begun)
	}
	return begun, err
}

// redeem turns a code into a grant.
func (s *Service) redeem(ctx context.Context, tool Tool, begun consent, code string) error {
	secret, err := s.clientSecret(ctx, tool)
	if err != nil {
		return err
	}
	c, err := s.client(tool)
	if err != nil {
		return err
	}
	defer c.close()
	token, err := c.request(ctx, *tool.OAuth, begun.Server, secret, url.Values{
		"grant_type": {authorizationCode}, "code": {code}, "redirect_uri": {s.redirectURI()}, "code_verifier": {begun.Verifier},
	})
	if err != nil {
		if code := refusal(err); code != "" {
			return services.Errorf(services.Upstream, "The authorization server of %s refused the code: %s", tool.Name, code).WithCode("CONSENT_REFUSED").Because(told(err))
		}
		return services.Errorf(services.Unavailable, "The authorization server of %s can't be reached just now; begin again", tool.Name).Because(told(err))
	}
	g, err := s.filled(grant{Tool: tool.ID, Scope: begun.Scope, Holder: begun.Holder, Bound: begun.Bound}, token, begun.Server, begun.Asked)
	if err != nil {
		return err
	}
	happened := changed(tool)
	if err := s.repository.connect(ctx, g, lifetimeOf(token), happened); err != nil {
		return err
	}
	s.bus.Publish(happened)
	return nil
}

// Connection is what there is of a consent, without its tokens.
type Connection struct {
	Connected bool           `json:"connected"`
	Scope     Scope          `json:"scope,omitempty" doc:"whose consent counts for the caller"`
	Current   bool           `json:"current" doc:"false: the tool has changed since, so that it is not used; consent again"`
	Scopes    string         `json:"scopes,omitempty" doc:"as granted, separated by spaces"`
	ExpiresAt *services.Time `json:"expires_at" doc:"of the present token; it is renewed by itself if the server allows it"`
	UpdatedAt *services.Time `json:"updated_at"`
}

// Connection gives the grant that counts for the caller.
func (s *Service) Connection(ctx context.Context, caller services.Caller, tool Tool) (Connection, error) {
	if tool.OAuth == nil {
		return Connection{}, services.Errorf(services.NotFound, "This tool takes no consent")
	}
	all, err := s.repository.grants(ctx, holdersOf(tool.ID, caller))
	if err != nil {
		return Connection{}, err
	}
	for _, scope := range order {
		for _, g := range all {
			if g.Scope == scope && len(g.Sealed) > 0 {
				return Connection{Connected: true, Scope: scope, Current: g.Bound == boundTo(tool), Scopes: g.Scopes, ExpiresAt: g.ExpiresAt, UpdatedAt: &g.UpdatedAt}, nil
			}
		}
	}
	return Connection{}, nil
}

// Disconnect forgets a grant; it may be repeated.
func (s *Service) Disconnect(ctx context.Context, caller services.Caller, tool Tool, scope Scope) error {
	owner, err := holder(caller, tool, scope, false)
	if err != nil {
		return err
	}
	services.Note(ctx, "scope", string(scope))
	happened := changed(tool)
	if err := s.repository.disconnect(ctx, grant{Tool: tool.ID, Scope: scope, Holder: owner}, happened); err != nil {
		return err
	}
	s.bus.Publish(happened)
	return nil
}
