package contract

import (
	"strings"

	"uaol/services"
)

// gatewayPath is where a recorded request goes on the gateway, which knows the
// auth service's paths with a prefix.
func gatewayPath(r recording) string {
	if r.Service == services.Auth && r.Path != "/health" {
		return "/auth" + r.Path
	}
	return r.Path
}

// owners are the services behind the gateway's paths.
var owners = []struct {
	prefix string
	owner  services.Name
}{
	{"/auth/", services.Auth}, {"/tools", services.Registry}, {"/proxy/", services.Proxy}, {"/jobs", services.Jobs},
	{"/billing/", services.Billing}, {"/credits/", services.Billing}, {"/storage/", services.Storage},
}

// ownPath is the service whose own port takes a recorded request, and the path there.
func ownPath(r recording) (services.Name, string) {
	if r.Service != services.Gateway {
		return r.Service, r.Path
	}
	for _, o := range owners {
		if strings.HasPrefix(r.Path, o.prefix) {
			if o.owner == services.Auth {
				return o.owner, strings.TrimPrefix(r.Path, "/auth")
			}
			return o.owner, r.Path
		}
	}
	return services.Gateway, r.Path
}
