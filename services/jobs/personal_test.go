package jobs

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestKeeper runs the interface's contract over both of its bodies.
func TestKeeper(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		keeperContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)
		custody := remoteKeeper(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, custody.Missing)
		keeperContract(t, b, custody.Keeper)
	})
	custody := remoteKeeper(ClientConfig{}, peerstest.Tokens(t))
	require.ErrorContains(t, custody.Missing, "UAOL_JOBS_URL is not set", "an address that is missing stops nobody's start")
}

func keeperContract(t *testing.T, b *bench, keeper services.Keeper) {
	ctx := t.Context()
	tool := b.tool(t, 1)
	create := func(caller services.Caller) Job {
		job, err := b.service.Create(ctx, caller, Request{Definition: definition(t, stepJSON{ID: "a", Tool: tool, Params: map[string]any{"of": caller.Account}})})
		require.NoError(t, err)
		return job
	}
	ada := b.caller
	bob := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, Personal: true}
	inTeam := bob // a team that bob pays for
	inTeam.Account = ada.Account
	ended := []Job{create(ada), create(ada), create(inTeam), create(bob)}
	engine := b.start(t)
	ends := func(job Job) {
		b.seen.wait(t, func(all []events.Event) bool {
			return slices.ContainsFunc(all, func(e events.Event) bool {
				return e.Subject == job.ID.String() && e.Type == "job.ended"
			})
		})
	}
	for _, job := range ended {
		ends(job)
	}
	_, err := b.pool.Exec(ctx, `INSERT INTO uaol_jobs.guests (account_id, workflows, calls) VALUES ($1, 1, 1), ($2, 1, 1)`, ada.Account, bob.Account)
	require.NoError(t, err)

	in := services.ExportRequest{Person: services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}, Shared: []uuid.UUID{bob.Organization}}}
	var got []uuid.UUID
	for {
		part, err := keeper.Export(ctx, in)
		require.NoError(t, err)
		if part.Section != "jobs" { // workflows_test.go and schedules_test.go look at the rest
			require.Empty(t, part.Items)
		}
		require.LessOrEqual(t, len(part.Items), 1, "each may be large")
		for _, item := range part.Items {
			var job struct {
				Job
				Steps []StepState
			}
			require.NoError(t, json.Unmarshal(item, &job))
			require.Len(t, job.Steps, 1)
			require.Contains(t, string(job.Steps[0].Result), ada.Account.String())
			require.NotContains(t, string(item), "final_output", "the steps say it")
			got = append(got, job.ID)
		}
		if in.After = part.Next; in.After == "" {
			break
		}
	}
	require.Equal(t, []uuid.UUID{ended[0].ID, ended[1].ID, ended[2].ID}, got)

	// What is at work ends first; the team's is not cancelled, but waited for.
	g := newGate(t)
	b.tools.answers(g.pass)
	running := create(ada)
	g.wait(t)
	elsewhere := create(inTeam)
	g.wait(t)
	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}
	err = keeper.Erase(ctx, who)
	require.Equal(t, peerstest.Parts{Kind: services.Conflict, Message: "2 jobs have to end first", Details: "null"}, peerstest.PartsOf(t, err))
	require.LessOrEqual(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE organization_id = $1`, ada.Organization), int64(1),
		"what had ended is gone; what was at work may have ended meanwhile")
	g.release()
	ends(running)
	ends(elsewhere)
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE status = 'Success' AND job_id = $1`, elsewhere.ID))
	require.NoError(t, keeper.Erase(ctx, who))

	// What waits is not begun any more.
	engine.stop()
	calls := len(b.tools.called())
	queued := create(ada)
	require.True(t, services.Is(keeper.Erase(ctx, who), services.Conflict))
	b.start(t)
	ends(queued)
	require.NoError(t, keeper.Erase(ctx, who))
	require.Len(t, b.tools.called(), calls)

	require.NoError(t, keeper.Erase(ctx, who), "it may be repeated")
	require.Zero(t, b.number(t, `SELECT (SELECT count(*) FROM uaol_jobs.jobs WHERE organization_id = $1 OR account_id = $2)
		+ (SELECT count(*) FROM uaol_jobs.outbox WHERE organization_id = $1) + (SELECT count(*) FROM uaol_jobs.guests WHERE account_id = $2)`, ada.Organization, ada.Account))
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE organization_id = $1`, bob.Organization), "the team keeps its jobs")
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.steps`))
	require.Positive(t, b.number(t, `SELECT count(*) FROM uaol_jobs.outbox WHERE organization_id = $1`, bob.Organization))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.guests`))
}
