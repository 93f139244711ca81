package conformance

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/conformance/suite"
)

// TestClient runs the suite's scenarios for clients: its servers are registered as tools,
// approved and called, by somebody who does at UAOL what the scenario is about.
func TestClient(t *testing.T) {
	for _, e := range suite.Editions {
		t.Run(e.Revision, func(t *testing.T) {
			s := get(t, e)
			t.Parallel()
			self, err := os.Executable()
			require.NoError(t, err)
			p := open(t)
			place, err := json.Marshal(errand{Gateway: p.gateway, Admin: p.admin.Header.Get("Authorization"), User: "Bearer " + p.key, Revision: e.Revision})
			require.NoError(t, err)
			each(t, s, "client", []string{errandVariable + "=" + string(place)}, func(string) []string { return []string{"--command", self} })
		})
	}
}
