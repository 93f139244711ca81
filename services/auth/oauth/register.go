package oauth

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"uaol/services"
)

// metadata is what a program says of itself, in its document or when it registers (RFC
// 7591, section 2). Of the rest nothing would come: what is not read here, such as a
// logo, is not believed either.
type metadata struct {
	Name          string   `json:"client_name"`
	Redirects     []string `json:"redirect_uris"`
	Method        string   `json:"token_endpoint_auth_method"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
}

const (
	codeInvalidMetadata = "invalid_client_metadata"
	codeInvalidRedirect = "invalid_redirect_uri"
)

// maxRedirects bounds how many addresses a program may have.
const maxRedirects = 20

// client judges it.
func (m metadata) client() (Client, *Refusal) {
	switch {
	case len(m.Redirects) == 0 || len(m.Redirects) > maxRedirects:
		return Client{}, refuse(codeInvalidRedirect, "redirect_uris must have from 1 to %d addresses", maxRedirects)
	case len(m.GrantTypes) > 0 && !slices.Contains(m.GrantTypes, grantCode):
		return Client{}, refuse(codeInvalidMetadata, "grant_types must have authorization_code")
	case len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code"):
		return Client{}, refuse(codeInvalidMetadata, "response_types must have code")
	case !slices.Contains(authMethods, m.Method):
		return Client{}, refuse(codeInvalidMetadata, "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post")
	}
	for i, redirect := range m.Redirects {
		if fault := redirectFault(redirect); fault != "" {
			return Client{}, refuse(codeInvalidRedirect, "redirect_uris[%d] %s", i, fault)
		}
	}
	name, ok := shownName(m.Name)
	if !ok {
		return Client{}, refuse(codeInvalidMetadata, "client_name must be a line of at most 100 characters")
	}
	return Client{Name: name, Redirects: m.Redirects, Method: m.Method, Refreshes: slices.Contains(m.GrantTypes, grantRefresh)}, nil
}

// orHost is a name, or of a program that has none where it is sent to: RFC 7591 leaves
// the name out where it pleases, and people must be shown something.
func orHost(name string, redirects []string) string {
	if name != "" || len(redirects) == 0 {
		return name
	}
	u, err := url.Parse(redirects[0])
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Registered is a program with the only copy of its secret: RFC 7591, section 3.2.1.
type Registered struct {
	ID            string   `json:"client_id"`
	IssuedAt      int64    `json:"client_id_issued_at"` // seconds since 1970
	Secret        string   `json:"client_secret,omitempty"`
	SecretEnd     *int64   `json:"client_secret_expires_at,omitempty"` // 0: never
	Name          string   `json:"client_name"`
	Redirects     []string `json:"redirect_uris"`
	Method        string   `json:"token_endpoint_auth_method"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	Scope         string   `json:"scope"`
}

// registrations is how many programs an address may register in an hour.
const registrations = 30

var errNoRegistration = services.Errorf(services.Forbidden, "Programs can't register themselves here; name yours by the URL of a client ID metadata document")

var errTooManyClients = services.Errorf(services.Limited, "Too many programs were registered from this address; try again later")

// Register makes a program known. Kinds: Forbidden where nobody may, Limited; all else
// is a Refusal.
func (s *Service) Register(ctx context.Context, text []byte) (Registered, error) {
	if s.cfg.Registration != "on" {
		return Registered{}, errNoRegistration
	}
	var said metadata
	if err := json.Unmarshal(text, &said); err != nil {
		return Registered{}, refuse(codeInvalidMetadata, "The body must be a JSON object of the form that RFC 7591 has")
	}
	if said.Method == "" {
		said.Method = methodBasic // what the RFC takes for granted
	}
	said.Name = orHost(said.Name, said.Redirects)
	client, refusal := said.client()
	if refusal != nil {
		return Registered{}, refusal
	}
	if ok, err := s.host.Take(ctx, "oauth client", registrations, time.Hour); err != nil || !ok {
		if err == nil {
			err = errTooManyClients
		}
		return Registered{}, err
	}
	client.ID = secret(clientPrefix)
	made := Registered{
		ID: client.ID, IssuedAt: time.Now().Unix(), Name: client.Name, Redirects: client.Redirects, Method: client.Method,
		GrantTypes: []string{grantCode}, ResponseTypes: []string{"code"}, Scope: Scope,
	}
	if client.Refreshes {
		made.GrantTypes = grantTypes
	}
	if client.Method != methodNone {
		made.Secret, made.SecretEnd = secret(secretPrefix), new(int64)
		client.Secret = hash(made.Secret)
	}
	services.Note(ctx, "client", client.ID)
	return made, s.repository.addClient(ctx, client)
}
