package credentials

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// challenge is what a server says to whoever brings no token: RFC 6750, section 3, and
// RFC 9728, section 5.1.
type challenge struct {
	metadata string // where its metadata is
	scopes   []string
}

// question is a request of MCP that servers want a token for, if they want one at all. It
// is of the stateless protocol: those with sessions ask for the token before they look.
const question = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

// challenged asks a tool's server without a token. What it does not say has to be found
// elsewhere.
func (c client) challenged(ctx context.Context, gateway string) (said challenge) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, gateway, strings.NewReader(question))
	if err != nil {
		return said
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list",
	} {
		request.Header.Set(name, value)
	}
	response, err := c.Do(request)
	if err != nil {
		return said
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		return said
	}
	all, err := oauthex.ParseWWWAuthenticate(response.Header.Values("WWW-Authenticate"))
	if err != nil {
		return said
	}
	for _, one := range all {
		if one.Scheme == "bearer" {
			said.metadata = one.Params["resource_metadata"]
			said.scopes = scopesIn(strings.Fields(one.Params["scope"]))
			break
		}
	}
	if !believable(said.metadata, gateway) {
		said.metadata = ""
	}
	return said
}

// believable reports whether metadata may be where a tool's server says. What is not as
// safe on its way as the tool itself anybody may have written.
func believable(metadata, gateway string) bool {
	return isAddress(metadata) && (strings.HasPrefix(metadata, "https:") || strings.HasPrefix(gateway, "http:"))
}

// maxScopes bounds how many are asked for.
const maxScopes = 50

// scopesIn are those of a stranger's that can be asked for, each once.
func scopesIn(said ...[]string) (scopes []string) {
	for _, scope := range slices.Concat(said...) {
		if scopeForm.MatchString(scope) && !slices.Contains(scopes, scope) && len(scopes) < maxScopes {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
