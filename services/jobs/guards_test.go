package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
)

// TestALateNoteDoesNotUndoAnEnd: that a call goes on is noted in the background,
// and may be written after what the call came to.
func TestALateNoteDoesNotUndoAnEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	held := b.claim(t)
	says := func(seq int64, status Status, result *string) {
		done, err := b.repository.changeAll(t.Context(), []change{{Job: held.ID, Fence: held.Fence, Seq: seq,
			Steps: []stepChange{{Item: whole, Status: status, Attempt: 1, Result: result}}}})
		require.NoError(t, err)
		require.True(t, done[0], "it is the worker's own word")
	}
	result := `{"n":1}`
	says(5, Success, &result)
	for _, seq := range []int64{4, 5} {
		says(seq, Running, nil)
		step := b.steps(t, job.ID)["a"]
		require.Equal(t, Success, step.Status)
		require.Equal(t, result, string(step.Result))
		require.NotNil(t, step.EndTime)
	}
	says(6, Failed, nil)
	require.Equal(t, Failed, b.steps(t, job.ID)["a"].Status, "what is later counts")
}

// TestAJobThatIsBeingMadeIsNotHandedBack: between the moment at which its row says
// that the worker has it and the one at which the worker begins, the worker looks
// for what it does not know of.
func TestAJobThatIsBeingMadeIsNotHandedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.start(t)
	b.service.engine = w.Engine
	eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.Engine.worker != uuid.Nil })
	drafts, err := b.service.drafts(t.Context(), b.caller, []Request{{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})}}, func(int) string { return "body" })
	require.NoError(t, err)
	require.NoError(t, b.service.hold(t.Context(), b.caller, drafts))
	reserved := b.service.reserve(b.caller, drafts)
	require.NotEqual(t, uuid.Nil, drafts[0].Worker, "there is room")
	require.NoError(t, b.service.insertOne(t.Context(), &drafts[0]))
	require.NoError(t, w.reconcile(t.Context(), nil))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.queue`))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.runs WHERE fence = 1`))
	w.unreserve(reserved, []claimed{drafts[0].claimed()})
	got := b.ended(t, drafts[0].ID)
	require.Equal(t, Success, got.Status)
	require.EqualValues(t, 1, b.number(t, `SELECT attempts FROM uaol_jobs.jobs WHERE job_id = $1`, got.ID), "one worker has had it")
	require.EqualValues(t, 2, b.spent(t))

	// One that did not come to be is forgotten, and its room is another's.
	w.mu.Lock()
	w.most = 1
	w.mu.Unlock()
	first, second := []uuid.UUID{uuid.New()}, []uuid.UUID{uuid.New()}
	eventually(t, func() bool { return w.reserve(first) != uuid.Nil })
	require.Equal(t, uuid.Nil, w.reserve(second))
	w.unreserve(first, nil)
	eventually(t, func() bool { return w.reserve(second) != uuid.Nil })
}

// TestNobodyWaitsForARowThatIsBeingTaken: workers look at the same rows, and each
// goes on with those that no other has in hand.
func TestNobodyWaitsForARowThatIsBeingTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows, lock string
		take       func(ctx context.Context, b *bench) (int64, error)
	}{
		"a claim": {`UPDATE uaol_jobs.queue SET priority = 0`, `SELECT job_id FROM uaol_jobs.queue WHERE job_id = $1 FOR UPDATE`,
			func(ctx context.Context, b *bench) (int64, error) {
				worker := uuid.New()
				if err := b.repository.signIn(ctx, worker, time.Hour); err != nil {
					return 0, err
				}
				taken, _, err := b.repository.claim(ctx, worker, uuid.Nil, 10)
				return int64(len(taken)), err
			}},
		"a moment that has come": {`UPDATE uaol_jobs.queue SET wake_at = now()`, `SELECT job_id FROM uaol_jobs.queue WHERE job_id = $1 FOR UPDATE`,
			func(ctx context.Context, b *bench) (int64, error) { return b.repository.promote(ctx, 10) }},
		"a callback": {`INSERT INTO uaol_jobs.callbacks (job_id, lane, url, status) SELECT job_id, 'lane', 'https://example.com', 'Success' FROM uaol_jobs.jobs`,
			`SELECT job_id FROM uaol_jobs.callbacks WHERE job_id = $1 FOR UPDATE`,
			func(ctx context.Context, b *bench) (int64, error) {
				taken, err := b.repository.claimCallbacks(ctx, []string{"lane"}, []int32{10}, time.Minute)
				return int64(len(taken)), err
			}},
		"a schedule": {`INSERT INTO uaol_jobs.schedules (schedule_id, organization_id, account_id, definition, cron, time_zone, missed, enabled, next_at)
				SELECT job_id, organization_id, account_id, definition, '@hourly', 'UTC', 'skip', true, now() FROM uaol_jobs.jobs`,
			`SELECT schedule_id FROM uaol_jobs.schedules WHERE schedule_id = $1 FOR UPDATE`,
			func(ctx context.Context, b *bench) (int64, error) {
				taken, err := b.repository.claimSchedules(ctx, 10, time.Minute)
				return int64(len(taken)), err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 0)
			job := b.create(t, stepJSON{ID: "a", Tool: tool})
			b.create(t, stepJSON{ID: "a", Tool: tool})
			b.exec(t, c.rows)
			require.NoError(t, postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error {
				if _, err := postgres.Value[uuid.UUID](t.Context(), tx, c.lock, job.ID); err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(t.Context(), longest/4) // in which it would wait
				defer cancel()
				taken, err := c.take(ctx, b)
				require.NoError(t, err)
				require.EqualValues(t, 1, taken, "the other one")
				return nil
			}))
			taken, err := c.take(t.Context(), b)
			require.NoError(t, err)
			require.EqualValues(t, 1, taken, "and this one once it is free")
		})
	}
}
