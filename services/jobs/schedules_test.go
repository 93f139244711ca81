package jobs

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// asked is a change as a request says it.
func asked(t require.TestingT, text string) (in ScheduleChange) {
	require.NoError(t, json.Unmarshal([]byte(text), &in), text)
	return in
}

func (b *bench) schedule(t testing.TB, text string) Schedule {
	t.Helper()
	made, err := b.service.AddSchedule(t.Context(), b.caller, asked(t, text))
	require.NoError(t, err)
	return made
}

// TestScheduleFaults: those of a job, of the timetable, and of both at once.
func TestScheduleFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	text := string(definition(t, stepJSON{ID: "a", Tool: tool}))
	w := b.saved(t, "w", json.RawMessage(text))
	own := `"workflow_definition":` + text
	for body, want := range map[string][]string{
		`{` + own + `}`:                                                       {"body.cron"},
		`{"cron":"@daily"}`:                                                   {"body.workflow_definition.steps"},
		`{"cron":"x","time_zone":"x",` + own + `}`:                            {"body.time_zone", "body.cron"},
		`{"cron":"0 0 30 2 *",` + own + `}`:                                   {"body.cron"},
		`{"cron":"@daily","time_zone":"",` + own + `}`:                        {"body.time_zone"},
		`{"cron":"@daily","workflow_id":"` + w.ID.String() + `",` + own + `}`: {"body.workflow_id"},
		`{"cron":"@daily","workflow_version":1,` + own + `}`:                  {"body.workflow_version"},
		`{"cron":"@daily","callback_url":"nowhere",` + own + `}`:              {"body.callback_url"},
		`{"cron":"x","metadata":7,` + own + `}`:                               {"body.cron", "body.metadata"},
		`{"cron":"@daily","workflow_definition":{"steps":[{"id":"a","tool_id":"` + uuid.NewString() + `","action":"x"}]}}`: {"body.workflow_definition.steps[0].tool_id"},
	} {
		_, err := b.service.AddSchedule(t.Context(), b.caller, asked(t, body))
		require.Equal(t, want, pathsOf(t, err), body)
	}
	for _, body := range []string{`{"cron":"@daily","workflow_id":"` + uuid.NewString() + `"}`, `{"cron":"@daily","workflow_id":"` + w.ID.String() + `","workflow_version":2}`} {
		_, err := b.service.AddSchedule(t.Context(), b.caller, asked(t, body))
		require.Equal(t, services.NotFound, services.KindOf(err), body)
	}
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.schedules`))

	good := b.schedule(t, `{"cron":"@daily",`+own+`}`)
	narrow := b.caller
	narrow.Scopes = "schedules:read schedules:write"
	for name, try := range map[string]func() error{
		"add": func() error {
			_, err := b.service.AddSchedule(t.Context(), narrow, asked(t, `{"cron":"@daily",`+own+`}`))
			return err
		},
		"change": func() error {
			_, err := b.service.ChangeSchedule(t.Context(), narrow, good.ID, ScheduleChange{})
			return err
		},
		"run": func() error { _, err := b.service.RunSchedule(t.Context(), narrow, good.ID, ""); return err },
	} {
		require.Equal(t, services.Forbidden, services.KindOf(try()), name)
	}
}

// TestScheduleChanges: what is not said stays, and moments begin anew only with
// another timetable.
func TestScheduleChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)}))
	w := b.saved(t, "w", json.RawMessage(text))
	made := b.schedule(t, `{"cron":"@hourly","workflow_definition":`+text+`,"input":{"a":1},"concurrency_key":"k","callback_url":"https://example.com/","metadata":{"m":1},"priority":3}`)
	require.Equal(t, []any{"UTC", MissedSkip, true, "k", `{"a":1}`}, []any{made.TimeZone, made.Missed, made.Enabled, *made.Turn, string(made.Input)})
	require.Zero(t, made.NextAt.Minute())
	do := func(body string) Schedule {
		got, err := b.service.ChangeSchedule(t.Context(), b.caller, made.ID, asked(t, body))
		require.NoError(t, err, body)
		return got
	}
	b.exec(t, `UPDATE uaol_jobs.schedules SET next_at = '2020-01-01 00:00:00Z'`) // it is late
	got := do(`{"priority":4}`)
	require.Equal(t, 2020, got.NextAt.Year(), "it still is")
	require.Equal(t, []any{4, "k", "https://example.com/", `{"a":1}`, `{"m":1}`}, []any{got.Priority, *got.Turn, *got.Callback, string(got.Input), string(got.Metadata)})
	got = do(`{"concurrency_key":"","callback_url":"","input":null,"metadata":null,"cron":"@hourly"}`)
	require.Equal(t, 2020, got.NextAt.Year(), "the same timetable")
	require.Equal(t, []any{(*string)(nil), (*string)(nil), 0, 0}, []any{got.Turn, got.Callback, len(got.Input), len(got.Metadata)})
	got = do(`{"time_zone":"Asia/Kolkata"}`)
	require.Equal(t, 30, got.NextAt.UTC().Minute())
	require.True(t, got.NextAt.After(time.Now()), "what lies behind stays behind")
	got = do(`{"enabled":false}`)
	require.Nil(t, got.NextAt)
	got = do(`{"workflow_id":"` + w.ID.String() + `","workflow_version":1,"missed":"all"}`)
	require.Nil(t, got.NextAt)
	require.Equal(t, []any{w.ID, int64(1), 0, MissedAll}, []any{*got.Workflow, *got.Version, len(got.Definition), got.Missed})
	got = do(`{"workflow_version":0,"enabled":true}`)
	require.Nil(t, got.Version)
	require.NotNil(t, got.NextAt)
	got = do(`{"workflow_definition":` + text + `}`)
	require.Nil(t, got.Workflow)

	// It acts as who changed it last, with what it was changed with.
	colleague := b.caller
	colleague.Account, colleague.Key = uuid.New(), uuid.New()
	got, err := b.service.ChangeSchedule(t.Context(), colleague, made.ID, ScheduleChange{})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{colleague.Account, colleague.Key}, []uuid.UUID{got.Account, *got.Key})
	require.Nil(t, do(`{}`).Key)

	// Of two changes of the same state one counts.
	_, err = b.repository.changeSchedule(t.Context(), b.caller, got, false)
	require.Equal(t, services.NotFound, services.KindOf(err))
	stranger := b.user()
	for name, try := range map[string]func() error{
		"see": func() error { _, err := b.service.Schedule(t.Context(), stranger, made.ID); return err },
		"change": func() error {
			_, err := b.service.ChangeSchedule(t.Context(), stranger, made.ID, ScheduleChange{})
			return err
		},
		"remove": func() error { return b.service.DeleteSchedule(t.Context(), stranger, made.ID) },
		"runs": func() error {
			_, err := b.service.ScheduleRuns(t.Context(), stranger, made.ID, time.Now(), 1)
			return err
		},
		"run": func() error { _, err := b.service.RunSchedule(t.Context(), stranger, made.ID, ""); return err },
	} {
		require.Equal(t, errNoSchedule, try(), name)
	}
}

func TestWithMoment(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for input, want := range map[string]string{
		``:                     `{"scheduled_at":"2026-01-02T03:04:00.000Z"}`,
		`null`:                 `{"scheduled_at":"2026-01-02T03:04:00.000Z"}`,
		`{"n":1.50,"a":[{}]}`:  `{"a":[{}],"n":1.50,"scheduled_at":"2026-01-02T03:04:00.000Z"}`,
		`{"scheduled_at":"x"}`: `{"scheduled_at":"2026-01-02T03:04:00.000Z"}`,
		`[1]`:                  `[1]`,
		`"text"`:               `"text"`,
		`7`:                    `7`,
	} {
		require.Equal(t, want, string(withMoment(json.RawMessage(input), at)), input)
	}
}

func TestScheduleRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	me, ask := b.me(), b.asking(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1), Params: map[string]any{"at": "{{input.scheduled_at}}"}}))
	body := `{"cron":"30 4 * * 1-5","time_zone":"Europe/Berlin","missed":"once","workflow_definition":` + text + `,"input":{"x":1}}`
	status, answer := ask(me, http.MethodPost, "/schedules", body)
	require.Equal(t, http.StatusCreated, status, answer)
	made := answer["data"].(map[string]any)
	for _, field := range []string{"schedule_id", "user_id", "cron", "time_zone", "missed", "workflow_id", "workflow_version", "workflow_definition", "input", "priority",
		"concurrency_key", "callback_url", "metadata", "enabled", "next_at", "last_at", "last_job", "last_error", "created_at", "updated_at"} {
		require.Contains(t, made, field)
	}
	id := made["schedule_id"].(string)
	for bad, path := range map[string]string{`{}`: "cron", `{"cron":7}`: "body.cron", `{"cron":"@daily","missed":"some"}`: "body.missed",
		`{"cron":"@daily","priority":101}`: "body.priority", `{"cron":"@daily","workflow_id":"x"}`: "body.workflow_id"} {
		status, answer := ask(me, http.MethodPost, "/schedules", bad)
		require.Equal(t, http.StatusBadRequest, status, bad)
		require.Contains(t, messageOf(answer), path, bad)
	}
	status, answer = ask(me, http.MethodPost, "/schedules", `{"cron":"@daily"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "workflow_definition with steps is required", messageOf(answer))
	status, _ = ask("", http.MethodPost, "/schedules", body)
	require.Equal(t, http.StatusUnauthorized, status, "guests have none")
	for range 2 {
		status, _ = ask(me, http.MethodPost, "/schedules", body)
		require.Equal(t, http.StatusCreated, status)
	}
	status, answer = ask(me, http.MethodGet, "/schedules?limit=2", "")
	require.Equal(t, http.StatusOK, status)
	require.Len(t, answer["data"], 2)
	require.NotContains(t, answer["data"].([]any)[0], "workflow_definition")
	_, answer = ask(me, http.MethodGet, "/schedules?cursor="+answer["nextCursor"].(string), "")
	require.Equal(t, id, answer["data"].([]any)[0].(map[string]any)["schedule_id"])

	status, answer = ask(me, http.MethodPost, "/schedules/"+id+"/run", "")
	require.Equal(t, http.StatusCreated, status, answer)
	job := answer["data"].(map[string]any)["job_id"].(string)
	status, answer = ask(me, http.MethodGet, "/schedules/"+id+"/runs?limit=1", "")
	require.Equal(t, http.StatusOK, status)
	run := answer["data"].([]any)[0].(map[string]any)
	require.Equal(t, []any{job, "Queued", nil}, []any{run["job_id"], run["status"], run["error"]})
	b.start(t)
	require.Equal(t, Success, b.ended(t, uuid.MustParse(job)).Status)
	require.Contains(t, string(b.job(t, uuid.MustParse(job)).FinalOutput), run["scheduled_at"].(string)[:len("2026-01-01T00:00")])
	_, answer = ask(me, http.MethodGet, "/schedules/"+id, "")
	require.Equal(t, job, answer["data"].(map[string]any)["last_job"])

	first, err := b.service.RunSchedule(t.Context(), b.caller, uuid.MustParse(id), "key")
	require.NoError(t, err)
	again, err := b.service.RunSchedule(t.Context(), b.caller, uuid.MustParse(id), "key")
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	runs, err := b.service.ScheduleRuns(t.Context(), b.caller, uuid.MustParse(id), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, runs, 2)

	status, answer = ask(me, http.MethodPut, "/schedules/"+id, `{"enabled":false}`)
	require.Equal(t, http.StatusOK, status)
	require.Nil(t, answer["data"].(map[string]any)["next_at"])
	status, answer = ask(me, http.MethodDelete, "/schedules/"+id, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Schedule removed", answer["message"])
	status, _ = ask(me, http.MethodGet, "/schedules/"+id+"/runs", "")
	require.Equal(t, http.StatusNotFound, status)
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.schedule_runs`))
}

// TestSchedulesAreHandedOutAndErased: those of other organisations act for nobody.
func TestSchedulesAreHandedOutAndErased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.caller, b.user()
	body := `{"cron":"@hourly","workflow_definition":` + string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})) + `}`
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	inTeam := bob
	inTeam.Account, inTeam.Key = ada.Account, uuid.New()
	var ids []string
	for _, who := range []services.Caller{ada, inTeam, bob} {
		made, err := b.service.AddSchedule(t.Context(), who, asked(t, body))
		require.NoError(t, err)
		ids = append(ids, made.ID.String())
		b.exec(t, `INSERT INTO uaol_jobs.schedule_runs (schedule_id, scheduled_at) VALUES ($1, now())`, made.ID)
	}
	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}, Shared: []uuid.UUID{bob.Organization}}
	in := services.ExportRequest{Person: who}
	var items []string
	for {
		part, err := b.service.Export(t.Context(), in)
		require.NoError(t, err)
		for _, item := range part.Items {
			require.Equal(t, "schedules", part.Section)
			items = append(items, string(item))
		}
		if in.After = part.Next; in.After == "" {
			break
		}
	}
	require.Len(t, items, 2)
	for i, id := range ids {
		require.Equal(t, i < 2, strings.Contains(strings.Join(items, ""), id))
	}
	require.NoError(t, b.service.Erase(t.Context(), who))
	require.NoError(t, b.service.Erase(t.Context(), who))
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.schedules WHERE organization_id = $1`, bob.Organization))
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.schedules`))
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.schedule_runs`))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.schedules WHERE NOT enabled AND next_at IS NULL AND account_id = $1 AND key_id IS NULL`, uuid.Nil))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.schedules WHERE enabled AND account_id = $1`, bob.Account))
}

// TestAnOrganisationHasSoManySchedules, however many are added at once, and as many
// again as it deletes.
func TestAnOrganisationHasSoManySchedules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := `{"cron":"@hourly","workflow_definition":` + string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})) + `}`
	again := services.WithRepeatKey(t.Context(), "again")
	first, err := b.service.AddSchedule(again, b.caller, asked(t, body))
	require.NoError(t, err)
	const left, many = 3, 10
	b.exec(t, `INSERT INTO uaol_jobs.schedules (schedule_id, organization_id, account_id, definition, cron, time_zone, missed, enabled, next_at)
		SELECT gen_random_uuid(), $1, $1, '{}', '@hourly', 'UTC', 'skip', n % 2 = 0, CASE n % 2 WHEN 0 THEN now() + interval '1 day' END FROM generate_series(1, $2::bigint) n`,
		b.caller.Organization, mostSchedules-left-1)
	var made, refused atomic.Int64
	add := func() {
		switch _, err := b.service.AddSchedule(tContext, b.caller, asked(t, body)); {
		case err == nil:
			made.Add(1)
		case services.Is(err, services.Conflict):
			refused.Add(1)
			assert.EqualError(t, err, "An organisation may have at most 1000 schedules; delete some")
		default:
			t.Error(err)
		}
	}
	var group sync.WaitGroup
	for range many {
		group.Go(add)
	}
	group.Wait()
	require.EqualValues(t, left, made.Load())
	require.EqualValues(t, many-left, refused.Load())
	require.EqualValues(t, mostSchedules, b.number(t, `SELECT count(*) FROM uaol_jobs.schedules`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.turns`))
	same, err := b.service.AddSchedule(again, b.caller, asked(t, body))
	require.NoError(t, err, "what there is already is no one more")
	require.Equal(t, first.ID, same.ID)

	_, err = b.service.AddSchedule(t.Context(), b.user(), ScheduleChange{})
	require.Equal(t, services.Invalid, services.KindOf(err), "faults come first")
	all, err := b.service.Schedules(t.Context(), b.caller, time.Now().Add(time.Hour), uuid.Max, 1)
	require.NoError(t, err)
	require.NoError(t, b.service.DeleteSchedule(t.Context(), b.caller, all[0].ID))
	add()
	require.EqualValues(t, left+1, made.Load())
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	_, err = b.service.AddSchedule(t.Context(), b.user(), asked(t, body))
	require.NoError(t, err, "others have their own")
}
