package jobs

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestGuestsMayMakeSoMuch however many of their requests come at once.
func TestGuestsMayMakeSoMuch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	for name, test := range map[string]struct {
		steps   int
		made    int64
		message string
	}{
		"workflows": {1, 10, "A guest may create 10 workflows; register to go on"},
		"calls":     {30, 3, "A guest may make 100 tool calls; register to go on"},
	} {
		t.Run(name, func(t *testing.T) {
			guest := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleGuest, Personal: true}
			var steps []stepJSON
			for i := range test.steps {
				steps = append(steps, stepJSON{ID: "s" + string(rune('a'+i%26)) + string(rune('a'+i/26)), Tool: tool})
			}
			definition := definition(t, steps...)
			var made atomic.Int64
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() {
					_, err := b.service.Create(t.Context(), guest, Request{Definition: definition})
					if err == nil {
						made.Add(1)
						return
					}
					var e *services.Error
					if !errors.As(err, &e) || e.Kind != services.Forbidden || e.Code != "QUOTA_EXCEEDED" || e.Message != test.message {
						t.Errorf("%v", err)
					}
				})
			}
			group.Wait()
			require.Equal(t, test.made, made.Load())
			require.Equal(t, test.made, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE account_id = $1`, guest.Account))
			require.Equal(t, test.made*int64(test.steps), b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, guest.Organization),
				"what was refused holds nothing")

			guest.Role = services.RoleUser // it has registered
			_, err := b.service.Create(t.Context(), guest, Request{Definition: definition})
			require.NoError(t, err)
		})
	}
}
