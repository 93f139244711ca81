package jobs

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
)

// told are the types of what was written to the outbox, in order, and the last data
// of each.
func (b *bench) told(t *testing.T) (types []string, data map[string]string) {
	t.Helper()
	found, err := b.repository.outbox.Read(t.Context(), b.pool, events.ReadRequest{Limit: 1000})
	require.NoError(t, err)
	data = map[string]string{}
	for _, e := range found {
		require.Equal(t, b.caller.Organization, e.Organization)
		types, data[e.Type] = append(types, e.Type), string(e.Data)
	}
	return types, data
}

// TestStepsAreToldWhereThereIsABroker, before the job's end, and nowhere else.
func TestStepsAreToldWhereThereIsABroker(t *testing.T) {
	t.Parallel()
	for name, outward := range map[string]bool{"with a broker": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.repository.Telling(outward)
			tool := b.tool(t, 0)
			b.start(t, func(e *Engine) { e.repository.Telling(outward) })
			job := b.create(t, stepJSON{ID: "only", Tool: tool})
			require.Equal(t, Success, b.ended(t, job.ID).Status)
			types, data := b.told(t)
			if !outward {
				require.Equal(t, []string{"job.created", "job.ended"}, types)
				return
			}
			require.Equal(t, []string{"job.created", "step.succeeded", "job.ended"}, types)
			require.JSONEq(t, `{"steps":[{"job":"`+job.ID.String()+`","step":"only","item":null,"attempt":1}]}`, data["step.succeeded"])
			require.JSONEq(t, `{"jobs":[["`+job.ID.String()+`","Success"]]}`, data["job.ended"])
		})
	}
}

// TestSignalsAreToldWhereThereIsABroker: another process may have the job.
func TestSignalsAreToldWhereThereIsABroker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	quiet, told := b.create(t, stepJSON{ID: "a", Tool: tool}), b.create(t, stepJSON{ID: "a", Tool: tool})
	for _, job := range []Job{quiet, told} {
		open, err := b.service.Cancel(t.Context(), b.caller, job.ID)
		require.NoError(t, err)
		require.True(t, open)
		b.repository.Telling(true)
	}
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.outbox WHERE type = 'job.signalled'`))
	types, data := b.told(t)
	require.Contains(t, types, "job.signalled")
	require.JSONEq(t, `{"jobs":["`+told.ID.String()+`"],"waiting":1}`, data["job.created"], "nobody has begun it")
}

// TestOthersEventsWake: jobs that nobody has begun wake this process, others don't,
// and who follows a job hears that another process has ended it.
func TestOthersEventsWake(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{`{}`: true, `{"waiting":0}`: false, `{"waiting":2}`: true, `null`: true, `[]`: true} {
		require.Equal(t, want, waits(events.Event{Data: json.RawMessage(data)}), data)
	}
	b := setup(t)
	id := uuid.New()
	changed, leave := b.repository.hub.follow(id)
	defer leave()
	b.bus.Publish(events.New("job.ended", "", uuid.New(), map[string]any{"jobs": [][]any{{"nonsense"}, {}, {id.String(), "Success"}}}))
	select {
	case <-changed:
	default:
		t.Fatal("nobody told")
	}
}
