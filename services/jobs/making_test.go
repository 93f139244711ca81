package jobs

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/billing"
)

// TestAnotherRequestTakesNoHoldAway from the job whose key it used.
func TestAnotherRequestTakesNoHoldAway(t *testing.T) {
	t.Parallel()
	for name, guest := range map[string]bool{"a user": false, "a guest": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if guest {
				b.caller.Role = services.RoleGuest
			}
			tool := b.tool(t, 3)
			b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
			in := Request{Key: "k", Definition: definition(t, stepJSON{ID: "a", Tool: tool})}
			job := b.request(t, in)
			other := Request{Key: "k", Definition: definition(t, stepJSON{ID: "b", Tool: tool})} // at the same price
			_, err := b.service.Create(t.Context(), b.caller, other)
			require.Equal(t, services.Conflict, services.KindOf(err))
			_, err = b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: in.Definition}, other})
			require.Equal(t, services.Conflict, services.KindOf(err))
			require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`), "all of a batch or none")
			require.EqualValues(t, 3, b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization))
			b.start(t)
			require.Equal(t, Success, b.ended(t, job.ID).Status)
			require.EqualValues(t, 3, b.spent(t))
		})
	}
}

// TestABatchIsMadeWholeOrNotAtAll, however many statements it takes.
func TestABatchIsMadeWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	good := definition(t, stepJSON{ID: "a", Tool: tool})
	used := b.request(t, Request{Key: "k", Definition: good})
	all := make([]Request, inOne+1)
	for i := range all {
		all[i].Definition = good
	}
	all[inOne] = Request{Key: "k", Definition: definition(t, stepJSON{ID: "b", Tool: tool})}
	b.start(t)
	_, err := b.service.CreateMany(t.Context(), b.caller, all)
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.Equal(t, Success, b.ended(t, used.ID).Status)
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.EqualValues(t, 1, b.spent(t))
}

// TestARequestRepeatedHarmsNoOther that is written at the same moment.
func TestARequestRepeatedHarmsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := Request{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})}
	drafts, err := b.service.drafts(t.Context(), b.caller, []Request{in, in, in}, func(int) string { return "body" })
	require.NoError(t, err)
	drafts[1].ID = drafts[0].ID
	made, err := b.repository.createEach(t.Context(), []creation{drafts[0].creation, drafts[1].creation, drafts[2].creation})
	require.NoError(t, err)
	require.Len(t, made, 2)
	require.Contains(t, made, 2)
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
}

// TestAHoldThatHasEndedPaysForNothing: a process died between hold and job, for so
// long that the hold was given back, and then the request was repeated.
func TestAHoldThatHasEndedPaysForNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := Request{Key: "k", Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})}
	drafts, err := b.service.drafts(t.Context(), b.caller, []Request{in}, func(int) string { return "body" })
	require.NoError(t, err)
	require.NoError(t, b.service.hold(t.Context(), b.caller, drafts))
	_, err = b.meter.Release(t.Context(), billing.ReleaseRequest{HoldID: drafts[0].ID}) // as the sweeper does
	require.NoError(t, err)
	ids := make([]uuid.UUID, 5)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			job, err := b.service.Create(tContext, b.caller, in)
			if err != nil {
				t.Error(err)
			}
			ids[i] = job.ID
		})
	}
	group.Wait()
	require.Equal(t, ids[0], ids[4])
	require.EqualValues(t, 3, b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization))
	b.start(t)
	require.Equal(t, Success, b.ended(t, ids[0]).Status)
	require.EqualValues(t, 3, b.spent(t))
	again, err := b.service.Create(t.Context(), b.caller, in)
	require.NoError(t, err)
	require.Equal(t, ids[0], again.ID)
	require.EqualValues(t, 3, b.spent(t))
}
