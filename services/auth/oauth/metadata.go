package oauth

import (
	"context"

	"uaol/services"
)

// AuthorizationServer describes us: RFC 8414, section 2, with members of RFC 9207 and
// of client ID metadata documents.
type AuthorizationServer struct {
	Issuer                 string   `json:"issuer"`
	AuthorizationEndpoint  string   `json:"authorization_endpoint"`
	TokenEndpoint          string   `json:"token_endpoint"`
	RegistrationEndpoint   string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint     string   `json:"revocation_endpoint"`
	ScopesSupported        []string `json:"scopes_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	TokenAuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods  []string `json:"revocation_endpoint_auth_methods_supported"`
	ChallengeMethods       []string `json:"code_challenge_methods_supported"`
	Iss                    bool     `json:"authorization_response_iss_parameter_supported"`
	Documents              bool     `json:"client_id_metadata_document_supported"`
	ServiceDocumentation   string   `json:"service_documentation"`
}

// Server describes us to who knows us by this request's address.
func (s *Service) Server(ctx context.Context) AuthorizationServer {
	base := s.Base(ctx)
	said := AuthorizationServer{
		Issuer: base, AuthorizationEndpoint: base + authorizePath, TokenEndpoint: base + tokenPath, RevocationEndpoint: base + revokePath,
		ScopesSupported: []string{Scope, offline}, ResponseTypesSupported: []string{"code"}, ResponseModesSupported: []string{"query"},
		GrantTypesSupported: grantTypes, TokenAuthMethods: authMethods, RevocationAuthMethods: authMethods, ChallengeMethods: []string{"S256"},
		Iss: true, Documents: true, ServiceDocumentation: base + "/docs",
	}
	if s.cfg.Registration == "on" {
		said.RegistrationEndpoint = base + registerPath
	}
	return said
}

// ProtectedResource describes a resource: RFC 9728, section 2.
type ProtectedResource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name"`
	Documentation        string   `json:"resource_documentation"`
}

// Resource describes the resource at a path, "" for the server's own address, at which
// a program looks that has found nothing elsewhere; kind NotFound when it is none.
func (s *Service) Resource(ctx context.Context, path string) (ProtectedResource, error) {
	base := s.Base(ctx)
	if _, ok := resourceOf(base, base+path); !ok {
		return ProtectedResource{}, services.Errorf(services.NotFound, "There is no such resource")
	}
	return ProtectedResource{
		Resource: base + path, AuthorizationServers: append([]string{base}, s.cfg.Issuers...),
		ScopesSupported: []string{Scope}, BearerMethods: []string{"header"}, Name: "UAOL", Documentation: base + "/docs",
	}, nil
}
