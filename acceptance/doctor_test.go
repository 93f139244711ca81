package acceptance

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/app/doctor"
	"uaol/providers/config"
	"uaol/services"
)

// TestDoctorHearsWhoRefuses: with another UAOL_SERVICE_SECRET than theirs every service
// of a running deployment refuses, and each is named.
func TestDoctorHearsWhoRefuses(t *testing.T) {
	t.Parallel()
	fleet := world.StartFleet(t, nil, 1)
	settings := map[string]string{"UAOL_DATA_DIR": t.TempDir(), "UAOL_ADDR": "127.0.0.1:1"}
	for service, url := range fleet.URLs {
		if service != services.Gateway {
			settings["UAOL_"+strings.ToUpper(string(service))+"_URL"] = url
		}
	}
	for secret, want := range map[string]doctor.Status{world.ServiceSecret: doctor.OK, "q8Zr4wT1mX6vB9nK3sL7pD2fG5hJ0cYa": doctor.Fail} {
		values := maps.Clone(settings)
		values["UAOL_SERVICE_SECRET"] = secret
		none := func(context.Context) (string, func() error, error) { return "", func() error { return nil }, nil }
		asked := 0
		for _, f := range doctor.Examine(t.Context(), &doctor.Patient{Env: config.Of(values), Database: none}) {
			if strings.HasPrefix(f.Check, "peer ") {
				asked++
				require.Equal(t, want, f.Status, "%v", f)
			}
		}
		require.Equal(t, len(settings)-2, asked)
	}
}
