package credentials

import (
	"context"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"uaol/services"
)

// registered is what an authorization server knows us as, where the tool's definition
// does not say: it is sealed with the consent and the grant that it is for.
type registered struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"`
	Post   bool   `json:"post,omitempty"` // the secret goes into the body
}

const documentPath = "/tools/oauth/client.json"

// Document is how we introduce ourselves to authorization servers: RFC 7591, section 2,
// and, with its own address as the client's id, a client ID metadata document.
type Document struct {
	ID string `json:"client_id,omitempty"`
	oauthex.ClientRegistrationMetadata
}

// Document gives it as authorization servers read it at its address.
func (s *Service) Document() Document {
	return Document{s.cfg.PublicURL + documentPath, s.introduction("none")}
}

func (s *Service) introduction(method string) oauthex.ClientRegistrationMetadata {
	kind := "native" // which alone may be sent back to the loopback
	if s.published() {
		kind = "web"
	}
	return oauthex.ClientRegistrationMetadata{
		ClientName: "UAOL", ClientURI: s.cfg.PublicURL, RedirectURIs: []string{s.redirectURI()}, ApplicationType: kind,
		GrantTypes: []string{authorizationCode, "refresh_token"}, ResponseTypes: []string{"code"}, TokenEndpointAuthMethod: method,
	}
}

// published reports whether authorization servers can read our document.
func (s *Service) published() bool { return strings.HasPrefix(s.cfg.PublicURL, "https://") }

// introduce makes us known to a tool's authorization server: as we are already, by our
// document where the server reads such, or by registration. Kind Upstream when it takes
// none of these.
func (s *Service) introduce(ctx context.Context, c client, tool Tool, server authServer, known []tokens) (*registered, error) {
	for _, held := range known {
		if held.Server.Client != nil && held.Server.Issuer == server.Issuer {
			return held.Server.Client, nil
		}
	}
	if server.Documents && s.published() {
		return &registered{ID: s.Document().ID}, nil
	}
	if server.Register == "" {
		return nil, services.Errorf(services.Upstream, "The authorization server of %s takes no unknown programs; its owner can register one there and give client_id", tool.Name)
	}
	asked := s.introduction(methodOf(server.Methods))
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	made, err := oauthex.RegisterClient(ctx, server.Register, &asked, c.Client)
	if err != nil {
		return nil, services.Errorf(services.Upstream, "The authorization server of %s did not register this program; its owner can do so there and give client_id", tool.Name).
			Because(told(err))
	}
	method := asked.TokenEndpointAuthMethod
	if made.TokenEndpointAuthMethod != "" {
		method = made.TokenEndpointAuthMethod
	}
	us := &registered{ID: made.ClientID, Post: method == "client_secret_post"}
	if method != "none" {
		us.Secret = made.ClientSecret
	}
	if len(us.ID) > maxValue || len(us.Secret) > maxValue {
		return nil, services.Errorf(services.Upstream, "The authorization server of %s registers programs under names that are too long", tool.Name)
	}
	return us, nil
}

// methodOf is how we would show ourselves to a token endpoint, of what it takes. RFC 8414
// takes the first for granted where nothing is said.
func methodOf(takes []string) string {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		if len(takes) == 0 || slices.Contains(takes, method) {
			return method
		}
	}
	return "none"
}
