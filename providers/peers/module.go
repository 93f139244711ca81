package peers

import (
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/config"
)

// Module provides *Tokens, also as the guard of internal operations.
var Module = fx.Module("peers",
	config.For[Config](),
	fx.Provide(NewTokens),
	fx.Provide(guard),
)

func guard(t *Tokens, lifecycle fx.Lifecycle) api.ServiceGuard {
	lifecycle.Append(fx.StopHook(t.Close))
	return t
}
