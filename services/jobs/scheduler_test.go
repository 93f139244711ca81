package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/registry"
)

// standings is a services.Standing that knows everybody as a member, unless it is
// told otherwise.
type standings func(in services.ActingRequest) (services.Caller, error)

func (s standings) Acting(_ context.Context, in services.ActingRequest) (services.Caller, error) {
	if s != nil {
		return s(in)
	}
	return services.Caller{Account: in.Account, Organization: in.Organization, Key: in.Key, Role: services.RoleUser, OrgRole: services.OrgMember, Personal: true}, nil
}

func (b *bench) scheduler() *Scheduler { return NewScheduler(b.service, standings(nil), zap.NewNop()) }

// late lets a schedule's next moment be one of so many minutes ago.
func (b *bench) late(t testing.TB, s Schedule, minutes int) {
	t.Helper()
	b.exec(t, `UPDATE uaol_jobs.schedules SET next_at = date_trunc('minute', now()) - $2 * interval '1 minute' WHERE schedule_id = $1`, s.ID, minutes)
}

// unclaim ends the claims of workers that died.
func (b *bench) unclaim(t testing.TB) {
	t.Helper()
	b.exec(t, `UPDATE uaol_jobs.schedules SET claimed_until = now() WHERE claimed_until IS NOT NULL`)
}

func (b *bench) of(t testing.TB, id uuid.UUID) Schedule {
	t.Helper()
	found, err := b.service.Schedule(t.Context(), b.caller, id)
	require.NoError(t, err)
	return found
}

func (b *bench) runs(t testing.TB, id uuid.UUID) []ScheduleRun {
	t.Helper()
	runs, err := b.service.ScheduleRuns(t.Context(), b.caller, id, time.Now().Add(time.Hour), 2000)
	require.NoError(t, err)
	return runs
}

// inputs are what a caller's jobs got, by the moment that they are for.
func (b *bench) inputs(t require.TestingT, organization uuid.UUID) map[string]int {
	texts, err := postgres.Values[string](tContext, b.pool, `SELECT input FROM uaol_jobs.jobs WHERE organization_id = $1`, organization)
	require.NoError(t, err)
	of := map[string]int{}
	for _, text := range texts {
		of[object(t, text)["scheduled_at"].(string)]++
	}
	return of
}

func TestMissedMoments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))
	for name, test := range map[string]struct {
		missed       Missed
		minutes, max int // jobs; one more when a minute begins meanwhile
	}{
		"skip":             {MissedSkip, 10, 1},
		"once":             {MissedOnce, 10, 1},
		"all":              {MissedAll, 10, 11},
		"all, a thousand":  {MissedAll, 5000, 1000},
		"in time, skip":    {MissedSkip, 0, 1},
		"in time, for all": {MissedAll, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := b.schedule(t, fmt.Sprintf(`{"cron":"* * * * *","missed":%q,"workflow_definition":%s,"input":{"of":%q}}`, test.missed, text, name))
			b.late(t, s, test.minutes)
			require.NoError(t, b.scheduler().Round(t.Context()))
			runs := b.runs(t, s.ID)
			require.GreaterOrEqual(t, len(runs), test.max)
			require.LessOrEqual(t, len(runs), min(test.max+1, mostMissed))
			got := b.of(t, s.ID)
			require.Equal(t, runs[0].ScheduledAt.Time, got.LastAt.Time)
			require.Equal(t, runs[0].Job, got.LastJob)
			require.Equal(t, got.LastAt.Add(time.Minute), got.NextAt.Time, "the newest moment is there, and nothing is left out")
			require.Nil(t, got.LastError)
			for i := range runs[1:] {
				require.Equal(t, runs[i].ScheduledAt.Add(-time.Minute), runs[i+1].ScheduledAt.Time)
			}
			input, err := postgres.Value[string](t.Context(), b.pool, `SELECT input FROM uaol_jobs.jobs WHERE job_id = $1`, *runs[0].Job)
			require.NoError(t, err)
			require.Equal(t, map[string]any{"of": name, "scheduled_at": runs[0].ScheduledAt.String()}, object(t, input))
			require.NoError(t, b.service.DeleteSchedule(t.Context(), b.caller, s.ID))
		})
	}

	// Over for more than a minute, and nothing else due: nothing is made of it.
	past := time.Now().UTC().Add(-10 * time.Minute)
	s := b.schedule(t, fmt.Sprintf(`{"cron":"%d %d * * *","workflow_definition":%s}`, past.Minute(), past.Hour(), text))
	b.exec(t, `UPDATE uaol_jobs.schedules SET next_at = next_at - interval '1 day' WHERE schedule_id = $1`, s.ID)
	require.NoError(t, b.scheduler().Round(t.Context()))
	require.Empty(t, b.runs(t, s.ID))
	require.True(t, b.of(t, s.ID).NextAt.After(time.Now()))
	require.Nil(t, b.of(t, s.ID).LastAt)
}

// TestNothingHappensBeforeItsTime, nor to what is disabled.
func TestNothingHappensBeforeItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))
	b.schedule(t, `{"cron":"@yearly","workflow_definition":`+text+`}`)
	off := b.schedule(t, `{"cron":"* * * * *","enabled":false,"workflow_definition":`+text+`}`)
	require.NoError(t, b.scheduler().Round(t.Context()))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_jobs.schedules SET next_at = now() WHERE schedule_id = $1`, off.ID)
	require.ErrorContains(t, err, "schedules_enabled")
}

// TestEachMomentIsOneJob however many workers there are, wherever they die, and
// whatever becomes of the schedule meanwhile.
func TestEachMomentIsOneJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	text := string(definition(t, stepJSON{ID: "a", Tool: tool}))
	rapid.Check(t, func(rt *rapid.T) {
		b.exec(t, `DELETE FROM uaol_jobs.schedules`)
		caller := b.user()
		missed := rapid.SampledFrom([]Missed{MissedOnce, MissedAll}).Draw(rt, "missed")
		count := rapid.IntRange(1, 6).Draw(rt, "moments")
		// Moments of the hour before; the next one is years away.
		hour := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
		s, err := b.service.AddSchedule(tContext, caller, asked(rt, fmt.Sprintf(`{"cron":"0-%d %d %d %d *","missed":%q,"workflow_definition":%s}`,
			count-1, hour.Hour(), hour.Day(), hour.Month(), missed, text)))
		require.NoError(rt, err)
		b.exec(t, `UPDATE uaol_jobs.schedules SET next_at = $2 WHERE schedule_id = $1`, s.ID, hour)
		for range rapid.IntRange(0, 4).Draw(rt, "turns") {
			var group sync.WaitGroup
			for range rapid.IntRange(1, 3).Draw(rt, "workers") {
				where, after := rapid.SampledFrom([]string{"", "claimed", "one", "made"}).Draw(rt, "dies"), rapid.Int64Range(0, 5).Draw(rt, "after")
				var seen atomic.Int64
				w := b.scheduler()
				w.died = func(at string) bool { return at == where && seen.Add(1) > after%int64(count) }
				group.Go(func() { _ = w.Round(tContext) })
			}
			group.Wait()
			if rapid.Bool().Draw(rt, "is taken over") {
				b.unclaim(t)
			}
			if rapid.Bool().Draw(rt, "is changed") {
				colleague := caller
				colleague.Account = uuid.New()
				_, err := b.service.ChangeSchedule(tContext, colleague, s.ID, asked(rt, `{"priority":1}`))
				require.NoError(rt, err)
			}
		}
		b.unclaim(t)
		require.NoError(rt, b.scheduler().Round(tContext))
		want := map[string]int{}
		for i := range count {
			if missed == MissedAll || i == count-1 {
				want[services.Time{Time: hour.Add(time.Duration(i) * time.Minute)}.String()] = 1
			}
		}
		require.Equal(rt, want, b.inputs(rt, caller.Organization))
		require.EqualValues(rt, len(want), b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, caller.Organization), "each is held for once")
		found, err := b.service.ScheduleRuns(tContext, caller, s.ID, time.Now(), 100)
		require.NoError(rt, err)
		require.Len(rt, found, len(want))
		after, err := b.service.Schedule(tContext, caller, s.ID)
		require.NoError(rt, err)
		require.Nil(rt, after.LastError)
		require.Equal(rt, hour.AddDate(1, 0, 0), after.NextAt.UTC())
		require.Nil(rt, after.AsOf)
	})
}

// TestWhatIsDueIsSettledByTheFirst: whoever takes over does not take later moments
// in, of which there would be two jobs, or none.
func TestWhatIsDueIsSettledByTheFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))
	s := b.schedule(t, `{"cron":"* * * * *","missed":"once","workflow_definition":`+text+`}`)
	b.late(t, s, 10)
	// Somebody claimed it five minutes ago, and died.
	b.exec(t, `UPDATE uaol_jobs.schedules SET as_of = now() - interval '5 minutes', claimed_until = now()`)
	require.NoError(t, b.scheduler().Round(t.Context()))
	first := b.runs(t, s.ID)
	require.Len(t, first, 1)
	require.InDelta(t, 5, time.Since(first[0].ScheduledAt.Time).Minutes(), 1.5)
	require.NoError(t, b.scheduler().Round(t.Context()))
	runs := b.runs(t, s.ID)
	require.Len(t, runs, 2, "what came since is due now")
	require.Equal(t, first[0], runs[1])
	require.InDelta(t, 0, time.Since(runs[0].ScheduledAt.Time).Minutes(), 1.5)
}

// TestARefusalStopsNobody: it is said, and the next moment is tried.
func TestARefusalStopsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := func(tool uuid.UUID) string {
		return `{"cron":"* * * * *","missed":"all","workflow_definition":` + string(definition(t, stepJSON{ID: "a", Tool: tool})) + `}`
	}
	gone := b.tool(t, 0)
	refused := map[string]Schedule{"INSUFFICIENT": b.schedule(t, body(b.tool(t, 20_000))), "there is no approved tool": b.schedule(t, body(gone))}
	w := b.saved(t, "w", definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))
	refused["Workflow not found"] = b.schedule(t, `{"cron":"* * * * *","workflow_id":"`+w.ID.String()+`"}`)
	require.NoError(t, b.service.ArchiveWorkflow(t.Context(), b.caller, w.ID))
	good := b.schedule(t, body(b.tool(t, 1)))
	require.NoError(t, b.catalog.Disable(t.Context(), admin, gone, registry.Decision{}))
	for range 2 {
		for _, s := range refused {
			b.late(t, s, 3)
		}
		b.late(t, good, 0)
		require.NoError(t, b.scheduler().Round(t.Context()))
		require.NotNil(t, b.of(t, good.ID).LastJob)
		require.Nil(t, b.of(t, good.ID).LastError)
		for why, s := range refused {
			got := b.of(t, s.ID)
			require.NotNil(t, got.LastError, why)
			if why != "INSUFFICIENT" {
				require.Contains(t, *got.LastError, why)
			} else {
				require.Contains(t, *got.LastError, "Insufficient credits")
			}
			require.Nil(t, got.LastJob)
			require.True(t, got.Enabled)
			require.True(t, got.NextAt.After(time.Now().Add(-time.Second)), "it goes on")
			runs := b.runs(t, s.ID)
			require.Equal(t, got.LastError, runs[0].Error)
			require.Nil(t, runs[0].Job)
		}
	}
	// Once it can be afforded, it runs, and says no more that it could not.
	s := refused["INSUFFICIENT"]
	_, err := b.service.ChangeSchedule(t.Context(), b.caller, s.ID, asked(t, body(b.tool(t, 1))))
	require.NoError(t, err)
	b.late(t, s, 0)
	require.NoError(t, b.scheduler().Round(t.Context()))
	require.Nil(t, b.of(t, s.ID).LastError)
	require.NotNil(t, b.of(t, s.ID).LastJob)
}

// TestWhatIsThereIsNotRefused: a job was made, its worker died, and by now it
// could not be made any more.
func TestWhatIsThereIsNotRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	s := b.schedule(t, `{"cron":"@hourly","missed":"once","workflow_definition":`+string(definition(t, stepJSON{ID: "a", Tool: tool}))+`}`)
	b.exec(t, `UPDATE uaol_jobs.schedules SET next_at = date_trunc('hour', now())`)
	w := b.scheduler()
	w.died = func(at string) bool { return at == "made" }
	require.NoError(t, w.Round(t.Context()))
	require.NoError(t, b.catalog.Disable(t.Context(), admin, tool, registry.Decision{}))
	require.NoError(t, b.scheduler().Round(t.Context()))
	require.Nil(t, b.of(t, s.ID).LastJob, "it is claimed")
	b.unclaim(t)
	require.NoError(t, b.scheduler().Round(t.Context()))
	require.Nil(t, b.of(t, s.ID).LastError)
	require.NotNil(t, b.of(t, s.ID).LastJob)
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
}

// away is a catalog that cannot be reached.
type away struct{ registry.Catalog }

func (away) Offers(context.Context, registry.ToolsRequest) ([]registry.Offer, error) {
	return nil, services.Errorf(services.Unavailable, "not now")
}

// TestTroubleIsNoRefusal: the moment stays, and is tried again when the claim ends.
func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.schedule(t, `{"cron":"* * * * *","missed":"once","workflow_definition":`+string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))+`}`)
	b.late(t, s, 0)
	before := b.of(t, s.ID).NextAt
	catalog := b.service.catalog
	for name, w := range map[string]*Scheduler{
		"registry": NewScheduler(b.service, standings(nil), zap.NewNop()),
		"auth": NewScheduler(b.service, standings(func(services.ActingRequest) (services.Caller, error) {
			return services.Caller{}, services.Errorf(services.Unavailable, "not now")
		}), zap.NewNop()),
	} {
		if name == "registry" {
			b.service.catalog = away{}
		}
		require.NoError(t, w.Round(t.Context()), name)
		b.service.catalog = catalog
		got := b.of(t, s.ID)
		require.Equal(t, before, got.NextAt, name)
		require.Equal(t, "not now", *got.LastError, name)
		require.Empty(t, b.runs(t, s.ID))
		require.NoError(t, b.scheduler().Round(t.Context()))
		require.Empty(t, b.runs(t, s.ID), "not at once")
		b.unclaim(t)
	}
	require.NoError(t, b.scheduler().Round(t.Context()))
	require.Len(t, b.runs(t, s.ID), 1)
	require.Nil(t, b.of(t, s.ID).LastError)
}

// TestWhoActs: a schedule of somebody who may not do it any more is stopped.
func TestWhoActs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.caller.Key = uuid.New()
	body := `{"cron":"* * * * *","workflow_definition":` + string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})) + `}`
	member := services.Caller{Account: b.caller.Account, Organization: b.caller.Organization, Key: b.caller.Key, Role: services.RoleUser, OrgRole: services.OrgMember}
	for name, test := range map[string]struct {
		change func(*services.Caller)
		err    error
		why    string
	}{
		"a member":   {},
		"an owner":   {change: func(c *services.Caller) { c.OrgRole = services.OrgOwner }},
		"gone":       {err: services.Errorf(services.Forbidden, "The account is gone"), why: "The account is gone"},
		"a viewer":   {change: func(c *services.Caller) { c.OrgRole = services.OrgViewer }, why: "may make no jobs"},
		"a guest":    {change: func(c *services.Caller) { c.Role = services.RoleGuest }, why: "may make no jobs"},
		"its scopes": {change: func(c *services.Caller) { c.Scopes = "schedules:write" }, why: "lacks the scope jobs:write"},
	} {
		s := b.schedule(t, body)
		b.late(t, s, 0)
		var of services.ActingRequest
		w := NewScheduler(b.service, standings(func(in services.ActingRequest) (services.Caller, error) {
			of = in
			caller := member
			if test.change != nil {
				test.change(&caller)
			}
			return caller, test.err
		}), zap.NewNop())
		require.NoError(t, w.Round(t.Context()))
		require.Equal(t, services.ActingRequest{Account: b.caller.Account, Organization: b.caller.Organization, Key: b.caller.Key}, of)
		got := b.of(t, s.ID)
		if test.why == "" {
			require.NotNil(t, got.LastJob, name)
			require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE job_id = $1 AND account_id = $2 AND key_id = $3`, *got.LastJob, member.Account, member.Key), name)
		} else {
			require.False(t, got.Enabled, name)
			require.Nil(t, got.NextAt, name)
			require.Contains(t, *got.LastError, test.why, name)
			_, err := b.service.ChangeSchedule(t.Context(), b.caller, s.ID, asked(t, `{"enabled":true}`))
			require.NoError(t, err, "somebody lets it go on")
			require.True(t, b.of(t, s.ID).NextAt.After(time.Now()))
		}
		require.NoError(t, b.service.DeleteSchedule(t.Context(), b.caller, s.ID))
	}
}

// TestSchedulersShareTheWork: what another one is about to take is not waited for,
// and what it has is not taken.
func TestSchedulersShareTheWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := `{"cron":"@yearly","missed":"all","workflow_definition":` + string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})) + `}`
	const many = 30
	for range many {
		b.schedule(t, body)
	}
	b.exec(t, `UPDATE uaol_jobs.schedules SET next_at = now()`)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(tContext) }() // else the pool would never close
	_, err = tx.Exec(t.Context(), `SELECT schedule_id FROM uaol_jobs.schedules ORDER BY next_at LIMIT 20 FOR UPDATE`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	due, err := b.repository.claimSchedules(ctx, 100, time.Minute)
	require.NoError(t, err)
	require.Len(t, due, many-20)
	require.NoError(t, tx.Rollback(t.Context()))
	rest, err := b.repository.claimSchedules(ctx, 100, time.Minute)
	require.NoError(t, err)
	require.Len(t, rest, 20)
}

// TestAChangeMeanwhile is not overwritten by who worked on what was before.
func TestAChangeMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))
	for name, meanwhile := range map[string]func(s Schedule){
		"another timetable": func(s Schedule) {
			_, err := b.service.ChangeSchedule(t.Context(), b.caller, s.ID, asked(t, `{"cron":"0 0 1 1 *"}`))
			require.NoError(t, err)
		},
		"disabled": func(s Schedule) {
			_, err := b.service.ChangeSchedule(t.Context(), b.caller, s.ID, asked(t, `{"enabled":false}`))
			require.NoError(t, err)
		},
		"removed": func(s Schedule) { require.NoError(t, b.service.DeleteSchedule(t.Context(), b.caller, s.ID)) },
	} {
		s := b.schedule(t, `{"cron":"* * * * *","workflow_definition":`+text+`}`)
		b.late(t, s, 0)
		w := b.scheduler()
		var want json.RawMessage
		w.died = func(at string) bool {
			if at == "made" {
				meanwhile(s)
				found, _ := b.service.Schedule(t.Context(), b.caller, s.ID)
				want, _ = json.Marshal([]any{found.NextAt, found.Enabled})
			}
			return false
		}
		require.NoError(t, w.Round(t.Context()))
		found, err := b.service.Schedule(t.Context(), b.caller, s.ID)
		got, _ := json.Marshal([]any{found.NextAt, found.Enabled})
		require.JSONEq(t, string(want), string(got), name)
		if name == "removed" {
			require.Equal(t, errNoSchedule, err)
			require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.schedule_runs WHERE schedule_id = $1`, s.ID))
			continue
		}
		require.Len(t, b.runs(t, s.ID), 1, "the job that was made is told of")
		require.NoError(t, b.service.DeleteSchedule(t.Context(), b.caller, s.ID))
	}
}
