package keyring

import (
	"go.uber.org/fx"

	"uaol/providers/config"
)

// Module provides *Ring to the services that keep secrets.
var Module = fx.Module("keyring", config.For[Config](), fx.Provide(New))
