package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oauth"
	"uaol/services/auth/oidc"
)

// SignIns lets people sign in with OpenID providers.
type SignIns struct {
	service    *Service
	repository *Repository
	ring       *keyring.Ring
	providers  *oidc.Providers
	frontends  []string
	roles      []oidc.GroupRole
	refreshing singleflight.Group
}

// NewSignIns makes SignIns.
func NewSignIns(cfg oidc.Config, providers *oidc.Providers, service *Service, repository *Repository, ring *keyring.Ring) (*SignIns, error) {
	roles, err := cfg.Roles()
	return &SignIns{
		service: service, repository: repository, ring: ring,
		providers: providers, frontends: cfg.Frontends(), roles: roles,
	}, err
}

// Configured tells whether a provider can be signed in with.
func (s *SignIns) Configured(provider string) bool {
	return s.providers.Named(provider).Configured() == nil
}

// consentPage is where a program asks to be let in, as sign-ins that began there keep it.
const consentPage = "/oauth/authorize?"

// toConsent reports whether a sign-in leads back to the page on which a program asks.
func toConsent(returnTo string) bool { return strings.HasPrefix(returnTo, consentPage) }

// consolePage is where the console waits for a sign-in that it began. The last part is
// known to its browser alone, by a cookie: nobody is signed in there as somebody else
// by following a link.
var consolePage = regexp.MustCompile(`^/console/sign-in/[A-Za-z0-9]{20,64}$`)

// ours reports whether a sign-in leads back to a page of ours, and not to a frontend.
func ours(returnTo string) bool { return toConsent(returnTo) || consolePage.MatchString(returnTo) }

// signInLife is how long somebody may take to sign in at a provider.
const signInLife = 10 * time.Minute

// BeginRequest is what a sign-in begins with.
type BeginRequest struct {
	Provider   string // one of oidc.Names
	Browser    string // the secret in the browser's cookie
	ReturnTo   string // a configured frontend, or a page of the console (consolePage); "" for the default frontend
	Authorize  string // the query of a program's request, to whose page the browser goes back instead; "" for none
	Invitation string // the secret of an invitation; "" without one
	GuestID    string // the guest that becomes the user, if that is a new one
}

// Begin remembers a sign-in and gives the provider's page to go to; kinds
// Unconfigured, Unavailable, and Invalid for a frontend that is not configured.
func (s *SignIns) Begin(ctx context.Context, in BeginRequest) (string, error) {
	provider := s.providers.Named(in.Provider)
	if err := provider.Configured(); err != nil {
		return "", err
	}
	returnTo, err := s.check(in)
	if err != nil {
		return "", err
	}
	proof := oidc.Proof{State: rand.Text(), Nonce: rand.Text(), Verifier: oidc.NewVerifier()}
	page, err := provider.AuthURL(ctx, proof)
	if err != nil {
		return "", err
	}
	return page, s.repository.addSignIn(ctx, keyHash(proof.State), signIn{
		Browser: keyHash(in.Browser), Provider: in.Provider, Nonce: proof.Nonce, Verifier: proof.Verifier,
		ReturnTo: returnTo, Invitation: hex.EncodeToString(invitationHash(in.Invitation)), GuestID: in.GuestID,
	})
}

func (s *SignIns) check(in BeginRequest) (returnTo string, err error) {
	var faults []services.Fault
	returnTo = s.frontends[0]
	if in.ReturnTo != "" {
		returnTo = strings.TrimRight(in.ReturnTo, "/")
	}
	if !slices.Contains(s.frontends, returnTo) {
		if returnTo = in.ReturnTo; !consolePage.MatchString(returnTo) {
			faults = append(faults, services.Fault{Path: "query.return_to", Message: "is none of the origins in FRONTEND_URL"})
		}
	}
	if in.Authorize != "" {
		query, err := url.ParseQuery(in.Authorize)
		if err != nil || len(in.Authorize) > oauth.MaxQuery {
			faults = append(faults, services.Fault{Path: "query.authorize", Message: "is not a request that can be gone on with"})
		}
		returnTo = consentPage + query.Encode()
	}
	if len(in.GuestID) > 128 || !utf8.ValidString(in.GuestID) || strings.Contains(in.GuestID, "\x00") {
		faults = append(faults, services.Fault{Path: "query.guest", Message: "must be a text of at most 128 characters"})
	}
	if len(in.Invitation) > 200 {
		faults = append(faults, services.Fault{Path: "query.invitation", Message: "must be a text of at most 200 characters"})
	}
	if len(faults) > 0 {
		return "", services.Faults(faults...)
	}
	return returnTo, nil
}

// FinishRequest is what a browser comes back with.
type FinishRequest struct {
	Provider string
	Browser  string // the secret in its cookie
	State    string
	Code     string
	Error    string // the provider's, instead of a code
}

var (
	errNoCode        = services.Errorf(services.Unauthenticated, "Missing authorization code")
	errUnknownSignIn = services.Errorf(services.Unauthenticated,
		"This sign-in is over, or did not begin in this browser; please begin again")
)

// Finish ends a sign-in: it gives the frontend, or the page of ours, to go back to and,
// unless there is an error, the token of a new session. A state counts once, whatever comes
// of it.
func (s *SignIns) Finish(ctx context.Context, in FinishRequest) (returnTo, token string, err error) {
	services.Note(ctx, "provider", in.Provider)
	returnTo = s.frontends[0]
	began, err := s.repository.takeSignIn(ctx, keyHash(in.State), keyHash(in.Browser), in.Provider)
	known := err == nil
	if known && (slices.Contains(s.frontends, began.ReturnTo) || ours(began.ReturnTo)) {
		returnTo = began.ReturnTo
	}
	switch {
	case err != nil && !services.Is(err, services.NotFound):
		return returnTo, "", err
	case in.Error != "":
		return returnTo, "", services.Errorf(services.Unauthenticated, "OAuth error: %s", oidc.Code(in.Error))
	case in.Code == "":
		return returnTo, "", errNoCode
	case !known:
		return returnTo, "", errUnknownSignIn
	}
	who, tokens, err := s.providers.Named(in.Provider).Redeem(ctx, in.Code, oidc.Proof{Nonce: began.Nonce, Verifier: began.Verifier})
	if err != nil {
		return returnTo, "", err
	}
	token, err = s.enter(ctx, entry{began: began, who: who, tokens: tokens})
	return returnTo, token, err
}

// entry is somebody whom a provider has identified.
type entry struct {
	began    signIn
	who      oidc.Identity
	tokens   oidc.Tokens
	email    string // the provider's, in one spelling; "" when it says none
	newcomer bool   // an account may be made
	session  newSession
}

var (
	errNewcomer   = services.Errorf(services.NotFound, "There is no such account")
	errOvertaken  = services.Errorf(services.Conflict, "Another request changed this account; please begin again")
	errNoEmail    = services.Errorf(services.Forbidden, "The provider named no e-mail address, and an account needs one")
	errUnverified = services.Errorf(services.Forbidden,
		"There is an account with this e-mail address, and the provider has not verified that it is yours; sign in another way")
)

// enter finds or makes the account and begins a session. Whoever is overtaken,
// by the same person's other sign-in for example, looks again.
func (s *SignIns) enter(ctx context.Context, in entry) (token string, err error) {
	if email, err := normalEmail(in.who.Email); err == nil {
		in.email = email
	}
	in.session = s.service.session(ctx, uuid.Nil, in.began.Provider, nil)
	if toConsent(in.began.ReturnTo) { // it is for that page alone
		in.session.life = signInLife
	}
	const most = 5
	for range most {
		var account Account
		var happened []events.Event
		err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
			e := &entrance{SignIns: s, tx: tx, in: in}
			var err error
			account, err = e.pass(ctx)
			happened = e.happened
			return err
		})
		switch {
		case errors.Is(err, errNewcomer) && !in.newcomer:
			if err = s.mayJoin(ctx, in); err != nil {
				return "", err
			}
			in.newcomer = true
		case errors.Is(err, errOvertaken), postgres.Violates(err, "accounts_email"), postgres.Violates(err, "identities_subject"):
		case err != nil:
			return "", err
		default:
			s.service.bus.Publish(happened...)
			services.NoteCaller(ctx, account.Caller())
			if slices.ContainsFunc(happened, func(e events.Event) bool { return e.Type == reclaimedType }) {
				services.Note(ctx, "reclaimed", "true")
			}
			return s.service.signer.sign(in.session.id, account.ID)
		}
	}
	return "", errOvertaken.Because(err)
}

// mayJoin judges whether an account may be made, and counts it.
func (s *SignIns) mayJoin(ctx context.Context, in entry) error {
	if in.email == "" {
		return errNoEmail
	}
	hash := in.began.invitationHash()
	if hash == nil {
		return s.service.mayRegister(ctx, in.email, "")
	}
	if s.service.registration == Closed {
		return services.Errorf(services.Forbidden, "Registration is closed")
	}
	invited, err := s.repository.invited(ctx, in.email, hash)
	if err == nil && !invited {
		err = services.Errorf(services.Forbidden, "The invitation is not for this e-mail address, or no longer valid")
	}
	if err == nil {
		err = s.service.countAccount(ctx)
	}
	return err
}

// entrance is one try of an entry, in a transaction. The organisations whose
// members may change are locked first, then the account, whatever follows.
type entrance struct {
	*SignIns
	tx       pgx.Tx
	in       entry
	happened []events.Event
}

func (e *entrance) tell(ctx context.Context, happened events.Event) error {
	e.happened = append(e.happened, happened)
	return e.repository.outbox.Append(ctx, e.tx, happened)
}

func (e *entrance) pass(ctx context.Context) (account Account, err error) {
	gives := wanted(e.roles, e.in.who.Groups)
	owner, known, err := e.repository.ownerOf(ctx, e.tx, e.in.who.Issuer, e.in.who.Subject, e.in.email)
	if err == nil {
		err = e.repository.lockGroupOrganizations(ctx, e.tx, owner, gives)
	}
	switch {
	case err != nil:
	case known:
		account, err = e.again(ctx, owner)
	default:
		account, err = e.first(ctx)
	}
	if err != nil {
		return account, err
	}
	if e.in.began.Provider == generic {
		changed, err := e.repository.applyRoles(ctx, e.tx, account.ID, gives)
		if err != nil {
			return account, err
		}
		if changed {
			if err := e.tell(ctx, accessChanged(account.ID, uuid.Nil)); err != nil {
				return account, err
			}
		}
	}
	e.in.session.account = account.ID
	return account, e.repository.addSession(ctx, e.tx, e.in.session)
}

// again is for an identity that is known.
func (e *entrance) again(ctx context.Context, owner uuid.UUID) (Account, error) {
	account, err := e.repository.lockAccount(ctx, e.tx, owner)
	if services.Is(err, services.NotFound) {
		return account, errOvertaken
	}
	if err != nil {
		return account, err
	}
	known, err := e.repository.lockIdentity(ctx, e.tx, account.ID, e.in.who.Issuer, e.in.who.Subject)
	if services.Is(err, services.NotFound) {
		return account, errOvertaken
	}
	if err != nil {
		return account, err
	}
	if old, ok := e.open(known); ok && e.in.tokens.Refresh == "" { // some providers give it only once
		e.in.tokens.Refresh = old.Refresh
	}
	if err := e.repository.updateIdentity(ctx, e.tx, e.sealed(known.ID)); err != nil {
		return account, err
	}
	if e.in.who.EmailVerified && account.EmailVerified == nil && account.Email != nil && *account.Email == e.in.email {
		if err := e.repository.proveEmail(ctx, e.tx, account.ID); err != nil {
			return account, err
		}
		return account, e.tell(ctx, events.New("user.email_verified", account.ID.String(), account.Organization, nil))
	}
	return account, nil
}

// first is for an identity that is new here: it joins the account of its e-mail
// address if the provider knows that the address is theirs, else only a new one.
func (e *entrance) first(ctx context.Context) (account Account, err error) {
	if e.in.email == "" {
		return account, errNoEmail
	}
	account, err = e.repository.lockByEmail(ctx, e.tx, e.in.email)
	switch {
	case services.Is(err, services.NotFound) && !e.in.newcomer:
		return account, errNewcomer
	case services.Is(err, services.NotFound):
		account, err = e.register(ctx)
	case err == nil && !e.in.who.EmailVerified:
		return account, errUnverified
	case err == nil && account.EmailVerified == nil:
		err = e.reclaim(ctx, account)
	}
	if err != nil {
		return account, err
	}
	if err := e.repository.addIdentity(ctx, e.tx, account.ID, e.sealed(newID())); err != nil {
		return account, err
	}
	return account, e.tell(ctx, events.New("user.identity_linked", account.ID.String(), account.Organization, map[string]any{"provider": e.in.began.Provider}))
}

func (e *entrance) register(ctx context.Context) (Account, error) {
	account, happened, err := e.repository.registerIn(ctx, e.tx, registration{
		ID: newID(), Email: e.in.email, Verified: e.in.who.EmailVerified, GuestID: e.in.began.GuestID, Invitation: e.in.began.invitationHash(),
	})
	if err != nil {
		return account, err
	}
	e.happened = append(e.happened, happened)
	if e.in.began.GuestID == "" {
		return account, nil
	}
	return account, e.tell(ctx, accessChanged(account.ID, account.Organization)) // the guest's session is over
}

// reclaim gives an account to who proved that its address is theirs: whoever
// registered it first never did, and loses all that they could come back with.
func (e *entrance) reclaim(ctx context.Context, account Account) error {
	happened, err := e.repository.reclaim(ctx, e.tx, account, e.in.began.Provider)
	e.happened = append(e.happened, happened...)
	return err
}

// sealed is the identity as it is stored under an id, which its tokens are
// bound to.
func (e *entrance) sealed(id uuid.UUID) storedIdentity {
	return storedIdentity{
		ID: id, Provider: e.in.began.Provider, Issuer: e.in.who.Issuer, Subject: e.in.who.Subject, Email: e.in.email,
		Tokens: seal(e.ring, id, e.in.tokens), Expires: expiry(e.in.tokens),
	}
}
