package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"uaol/providers/egress"
	"uaol/services"
)

// authServer is what has to be known of a tool's authorization server. It is
// kept with a grant: where its tokens are renewed does not follow what the
// tool's server says later.
type authServer struct {
	Authorize  string `json:"authorize,omitempty"`
	Token      string `json:"token"`
	Issuer     string `json:"issuer,omitempty"`
	SaysIssuer bool   `json:"saysIssuer,omitempty"` // RFC 9207: it names itself when it sends people back
	Post       *bool  `json:"post,omitempty"`       // the client's secret goes into the body; nil: not known
	Resource   string `json:"resource,omitempty"`   // RFC 8707

	Client *registered `json:"client,omitempty"` // ours, where the definition names none

	// What is of use only until a consent has begun.
	Register  string   `json:"-"` // where programs make themselves known (RFC 7591)
	Documents bool     `json:"-"` // it reads client ID metadata documents
	Methods   []string `json:"-"` // by which clients show who they are at the token endpoint
	Scopes    []string `json:"-"` // to ask for, where the definition names none
}

const (
	clientCredentials = "client_credentials"
	authorizationCode = "authorization_code"

	authTimeout = 10 * time.Second // of one request to an authorization server
	maxAnswer   = 1 << 20          // bytes of its answer
	maxToken    = maxValue
)

// client makes requests to the addresses that a tool's definition or server
// names. Close it after use.
type client struct {
	*http.Client
	transport *http.Transport
}

func (s *Service) client(tool Tool) (client, error) {
	policy, err := s.policy.With(tool.Allow)
	if err != nil {
		return client{}, err
	}
	transport := policy.Transport()
	return client{&http.Client{Transport: bounded{transport}, Timeout: authTimeout, CheckRedirect: egress.CheckRedirect}, transport}, nil
}

func (c client) close() { c.transport.CloseIdleConnections() }

// bounded cuts answers that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}

// server gives the tool's authorization server: as the definition has it, or as
// the tool's server tells (RFC 9728, RFC 8414).
func (c client) server(ctx context.Context, tool Tool) (authServer, error) {
	o := *tool.OAuth
	if o.TokenURL != "" {
		return authServer{Authorize: o.AuthorizeURL, Token: o.TokenURL, Resource: o.Resource}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*authTimeout) // all of them together
	defer cancel()
	found, err := c.discover(ctx, tool.GatewayURL)
	if err != nil {
		return authServer{}, services.Errorf(services.Upstream, "The authorization server of %s could not be discovered; its owner can give authorize_url and token_url", tool.Name).
			Because(told(err))
	}
	if o.Resource != "" {
		found.Resource = o.Resource
	}
	return found, nil
}

type resourceMetadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
}

// discover asks the tool's server for its authorization server, and that for
// its endpoints. A server of before RFC 9728 is its own authorization server.
func (c client) discover(ctx context.Context, gateway string) (authServer, error) {
	u, err := url.Parse(gateway)
	if err != nil {
		return authServer{}, err
	}
	issuer, resource := u.Scheme+"://"+u.Host, gateway
	demand := c.challenged(ctx, gateway)
	places := wellKnown(u, "oauth-protected-resource")
	if demand.metadata != "" {
		places = append([]string{demand.metadata}, places...)
	}
	for _, address := range places {
		var said resourceMetadata
		if err := c.get(ctx, address, &said); err != nil {
			if ctx.Err() != nil {
				return authServer{}, err
			}
			continue
		}
		if !covers(said.Resource, gateway) || len(said.Servers) == 0 {
			return authServer{}, errors.New("its metadata is about another resource, or names no authorization server")
		}
		issuer, resource = said.Servers[0], said.Resource
		if len(demand.scopes) == 0 {
			demand.scopes = scopesIn(said.Scopes)
		}
		break
	}
	at, err := url.Parse(issuer)
	if err != nil || !isAddress(issuer) || at.RawQuery != "" {
		return authServer{}, errors.New("its metadata names no authorization server")
	}
	addresses := append(wellKnown(at, "oauth-authorization-server")[:1], wellKnown(at, "openid-configuration")[0],
		strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	for _, address := range addresses {
		var said serverMetadata
		if err := c.get(ctx, address, &said); err == nil {
			return said.check(issuer, resource, u.Scheme == "https", demand.scopes)
		} else if ctx.Err() != nil {
			return authServer{}, err
		}
	}
	return authServer{}, errors.New("the authorization server has no metadata")
}

// wellKnown are the places of a metadata document: for the path, then for the
// whole host.
func wellKnown(u *url.URL, name string) []string {
	base := u.Scheme + "://" + u.Host + "/.well-known/" + name
	if path := strings.TrimSuffix(u.EscapedPath(), "/"); path != "" {
		return []string{base + path, base}
	}
	return []string{base}
}

// covers reports whether a resource is the address, or one that it lies below.
func covers(resource, address string) bool {
	r, err := url.Parse(resource)
	a, err2 := url.Parse(address)
	if err != nil || err2 != nil || originOf(resource) != originOf(address) {
		return false
	}
	path := strings.TrimSuffix(r.Path, "/")
	return a.Path == path || strings.HasPrefix(a.Path, path+"/")
}

type serverMetadata struct {
	Issuer     string   `json:"issuer"`
	Authorize  string   `json:"authorization_endpoint"`
	Token      string   `json:"token_endpoint"`
	Register   string   `json:"registration_endpoint"`
	Methods    []string `json:"token_endpoint_auth_methods_supported"`
	Challenges []string `json:"code_challenge_methods_supported"`
	Scopes     []string `json:"scopes_supported"`
	SaysIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	Documents  bool     `json:"client_id_metadata_document_supported"`
}

// offline is the scope by which servers give refresh tokens, of those that name it.
const offline = "offline_access"

// check judges the metadata. scopes are those that the resource wants.
func (m serverMetadata) check(issuer, resource string, secure bool, scopes []string) (authServer, error) {
	switch {
	case strings.TrimSuffix(m.Issuer, "/") != strings.TrimSuffix(issuer, "/"):
		return authServer{}, errors.New("the authorization server's metadata is of another issuer")
	case !isAddress(m.Token) || (m.Authorize != "" && !isAddress(m.Authorize)):
		return authServer{}, errors.New("the authorization server names no endpoints")
	case m.Register != "" && !isAddress(m.Register):
		return authServer{}, errors.New("the authorization server's place for registrations is not an address")
	case secure && (strings.HasPrefix(m.Token, "http:") || strings.HasPrefix(m.Authorize, "http:") || strings.HasPrefix(m.Register, "http:")):
		return authServer{}, errors.New("the authorization server's endpoints are not secure")
	case m.Authorize != "" && !slices.Contains(m.Challenges, "S256"):
		return authServer{}, errors.New("the authorization server does not say that it takes PKCE with S256")
	}
	post := slices.Contains(m.Methods, "client_secret_post") && !slices.Contains(m.Methods, "client_secret_basic")
	if len(scopes) > 0 && slices.Contains(m.Scopes, offline) {
		scopes = scopesIn(scopes, []string{offline})
	}
	return authServer{
		Authorize: m.Authorize, Token: m.Token, Issuer: m.Issuer, SaysIssuer: m.SaysIssuer, Post: &post, Resource: resource,
		Register: m.Register, Documents: m.Documents, Methods: m.Methods, Scopes: scopes,
	}, nil
}

func (c client) get(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %d", response.StatusCode)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// request asks for a token. in is the grant's own parameters, grant_type among
// them: the library sends them as they are, for all three kinds of grant.
func (c client) request(ctx context.Context, o OAuth, server authServer, secret string, in url.Values) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, c.Client), authTimeout)
	defer cancel()
	if server.Resource != "" {
		in.Set("resource", server.Resource)
	}
	id, post := o.ClientID, server.Post
	if us := server.Client; us != nil {
		id, secret, post = us.ID, us.Secret, &us.Post
	}
	ask := func(style oauth2.AuthStyle) (*oauth2.Token, error) {
		cfg := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: server.Token, EndpointParams: in, AuthStyle: style}
		return cfg.Token(ctx)
	}
	style := oauth2.AuthStyleInHeader
	if secret == "" || (post != nil && *post) {
		style = oauth2.AuthStyleInParams
	}
	token, err := ask(style)
	// Only a server that did not know the client is asked in the other way:
	// what else failed may have used the code or the refresh token up.
	var refused *oauth2.RetrieveError
	if post == nil && secret != "" && errors.As(err, &refused) && refused.ErrorCode == "invalid_client" {
		token, err = ask(oauth2.AuthStyleInParams)
	}
	switch {
	case err != nil:
		return nil, err
	case token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer"):
		return nil, errors.New("the token is of a type that is not known here")
	case len(token.AccessToken) > maxToken || len(token.RefreshToken) > maxToken || !httpguts.ValidHeaderFieldValue(token.AccessToken):
		return nil, errors.New("the token is too long, or can't stand in a header")
	}
	return token, nil
}

// lifetimeOf reads for how long a token counts, and when to renew it: a minute
// before the end, or in the last quarter of a short life.
func lifetimeOf(token *oauth2.Token) (l lifetime) {
	seconds := token.ExpiresIn
	if seconds <= 0 && !token.Expiry.IsZero() {
		seconds = int64(time.Until(token.Expiry).Seconds())
	}
	if seconds <= 0 {
		return l
	}
	const most = 10 * 365 * 24 * 3600
	seconds = min(seconds, most)
	renew := seconds - min(60, seconds/4)
	return lifetime{expires: &seconds, renew: &renew}
}

// told is an error as the log may have it: short, and without what a token
// endpoint answered, which may repeat the request's secrets.
func told(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		return fmt.Errorf("the token endpoint answered %d %s", status, codeOf(refused.ErrorCode))
	}
	var failed *url.Error // names the address, whose query may hold a key
	if errors.As(err, &failed) {
		err = failed.Err
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	return errors.New(text[:min(len(text), 300)])
}

// codeOf is a server's error code in a form that can be shown: bounded, and of
// the characters that codes have.
func codeOf(text string) string {
	if text == "" || len(text) > 60 || strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}) {
		return "unknown_error"
	}
	return text
}

// refusal is the code with which a token endpoint refused; "" when it did not
// answer, or failed itself.
func refusal(err error) string {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || (refused.Response != nil && refused.Response.StatusCode >= http.StatusInternalServerError) {
		return ""
	}
	return codeOf(refused.ErrorCode)
}
