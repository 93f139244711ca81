package app_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"uaol/app"
	"uaol/providers/config"
	"uaol/services"
)

// TestAuthKnowsEveryKeeper of personal data, here or elsewhere, whatever set it
// is part of; and it starts without the addresses that only erasing needs.
func TestAuthKnowsEveryKeeper(t *testing.T) {
	t.Parallel()
	type keepers struct {
		fx.In
		All []services.Custody `group:"keepers"`
	}
	want := []services.Name{services.Billing, services.Jobs, services.Proxy, services.Registry, services.Storage}
	for _, set := range everySet() {
		if !slices.Contains(set, services.Auth) || slices.Contains(set, services.Gateway) {
			continue // the gateway needs every address for itself
		}
		values := settings(t, unreachable)
		values["UAOL_MIGRATE"] = "false"
		needed := map[string]bool{ // by others of the set than auth's eraser
			"UAOL_STORAGE_URL":  false,
			"UAOL_REGISTRY_URL": slices.Contains(set, services.Proxy) || slices.Contains(set, services.Jobs),
			"UAOL_PROXY_URL":    slices.Contains(set, services.Jobs),
			"UAOL_JOBS_URL":     slices.Contains(set, services.Billing) || slices.Contains(set, services.Proxy),
		}
		for variable, needed := range needed {
			if !needed {
				delete(values, variable)
			}
		}
		var found []services.Name
		process := fxtest.New(t, app.Options(config.Of(values), set...), pretendPing(), fx.NopLogger, fx.Invoke(func(k keepers) {
			for _, c := range k.All {
				found = append(found, c.Service)
				assert.Equal(t, c.Missing == nil, slices.Contains(set, c.Service) || c.Service == services.Billing ||
					needed["UAOL_"+map[services.Name]string{services.Registry: "REGISTRY", services.Jobs: "JOBS", services.Proxy: "PROXY", services.Storage: "STORAGE"}[c.Service]+"_URL"],
					"%s in %s", c.Service, nameOf(set))
			}
		}))
		process.RequireStart()
		process.RequireStop()
		slices.Sort(found)
		require.Equal(t, want, found, nameOf(set))
	}
}
