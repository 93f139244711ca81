// Package app puts processes together: which services run here, what they
// share, and how they start and stop. The list below is the architecture.
package app

import (
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing"
	"uaol/services/gateway"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/proxy/mcpserver"
	"uaol/services/registry"
	"uaol/services/storage"
)

// row is one service: Module runs it in this process, Remote reaches it in
// another. Its place in the list decides whose port a process takes.
type row struct {
	Name       services.Name
	Module     fx.Option
	Remote     fx.Option
	Operations func() []api.Operation
}

var catalog = []row{
	{services.Gateway, gateway.Module, gateway.Remote, gateway.Operations},
	{services.Auth, auth.Module, auth.Remote, auth.Operations},
	{services.Registry, registry.Module, registry.Remote, registry.Operations},
	{services.Proxy, fx.Options(proxy.Module, mcpserver.Module), proxy.Remote, mcpserver.Operations},
	{services.Jobs, jobs.Module, jobs.Remote, jobs.Operations},
	{services.Billing, billing.Module, billing.Remote, billing.Operations},
	{services.Storage, storage.Module, storage.Remote, storage.Operations},
}

// Services lists every service, in the catalog's order.
func Services() []services.Name {
	var names []services.Name
	for _, r := range catalog {
		names = append(names, r.Name)
	}
	return names
}

// Operations is the whole API.
func Operations() []api.Operation {
	var all []api.Operation
	for _, r := range catalog {
		all = append(all, r.Operations()...)
	}
	return all
}
