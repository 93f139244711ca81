package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/minutes"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// lately asks for the last two hours by the minute.
func lately() minutes.Query {
	return minutes.Query{From: time.Now().Add(-2 * time.Hour), Step: 60, Scope: minutes.Organization}
}

// summed adds all buckets up, without what they took.
func summed(t testing.TB, calls *Calls, caller services.Caller, q minutes.Query) (sum Statistics) {
	t.Helper()
	all, err := calls.Statistics(t.Context(), caller, q)
	require.NoError(t, err)
	for _, s := range all {
		sum.Calls += s.Calls
		sum.Succeeded += s.Succeeded
		sum.Failed += s.Failed
		sum.Refused += s.Refused
		sum.Unknown += s.Unknown
		sum.Asked += s.Asked
		sum.Credits += s.Credits
	}
	return sum
}

// ofAllKinds are calls of an organisation, a second one after the other from a moment on: two that
// succeeded and one of each other outcome, of one credit each.
func ofAllKinds(organization uuid.UUID, from time.Time) (all []Call) {
	for i, outcome := range []Outcome{Succeeded, Failed, Refused, Unknown, Asked, Succeeded} {
		all = append(all, Call{
			ID: uuid.New(), Organization: organization, Account: uuid.New(), Outcome: outcome, Credits: 1,
			Latency: 20 * time.Millisecond, At: from.Add(time.Duration(i) * time.Second),
		})
	}
	return all
}

// lastly is a moment from which on ofAllKinds are over.
func lastly() time.Time { return time.Now().Add(-time.Minute) }

// TestCallsAreCountedOnce, however often their batch is written, whoever writes them again,
// and whatever becomes of their records.
func TestCallsAreCountedOnce(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	calls := NewCalls(Config{Days: 1}, c.repository)
	batch := ofAllKinds(c.caller.Organization, time.Now().Add(-time.Hour))
	want := Statistics{Calls: 6, Succeeded: 2, Failed: 1, Refused: 1, Unknown: 1, Asked: 1, Credits: 6}
	require.NoError(t, c.repository.insert(t.Context(), batch))
	require.Equal(t, want, summed(t, calls, c.caller, lately()))

	require.NoError(t, c.repository.insert(t.Context(), batch))
	require.NoError(t, c.repository.insert(t.Context(), append(batch[:3:3], batch...)))
	other := batch[0]
	other.Outcome = Unknown // as the sweeper would have it
	require.NoError(t, c.repository.insert(t.Context(), []Call{other}))
	require.Equal(t, want, summed(t, calls, c.caller, lately()), "what was written is not counted again")

	more := ofAllKinds(c.caller.Organization, time.Now().Add(-time.Hour))
	require.NoError(t, c.repository.insert(t.Context(), append(batch, append(more, more...)...)))
	want = Statistics{Calls: 12, Succeeded: 4, Failed: 2, Refused: 2, Unknown: 2, Asked: 2, Credits: 12}
	require.Equal(t, want, summed(t, calls, c.caller, lately()), "what is new in the batch is")

	require.NoError(t, calls.Erase(t.Context(), services.Person{Account: batch[0].Account, Shared: []uuid.UUID{c.caller.Organization}}))
	_, err := postgres.Exec(t.Context(), c.pool, `DELETE FROM uaol_proxy.calls`) // as forget does, in time
	require.NoError(t, err)
	require.Equal(t, want, summed(t, calls, c.caller, lately()), "they were made all the same")
}

// TestABatchThatIsRefusedCountsNothing: the counts are in the same statement.
func TestABatchThatIsRefusedCountsNothing(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	batch := ofAllKinds(c.caller.Organization, lastly())
	batch[5].Outcome = "no such outcome"
	require.Error(t, c.repository.insert(t.Context(), batch))
	require.Zero(t, summed(t, NewCalls(Config{Days: 1}, c.repository), c.caller, lately()))
}

// TestSweptCallsAreCounted in the minute that they were made in, without a latency.
func TestSweptCallsAreCounted(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	calls := NewCalls(Config{Days: 1}, c.repository)
	call := c.opened(t, 7)
	c.expire(t)
	for range 2 {
		_, err := c.sweeper.Sweep(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, Statistics{Calls: 1, Unknown: 1, Credits: 7}, summed(t, calls, c.caller, lately()))
	all, err := calls.Statistics(t.Context(), c.caller, lately())
	require.NoError(t, err)
	for _, s := range all {
		require.Nil(t, s.P50)
		if s.Calls > 0 {
			require.Equal(t, call.At.Truncate(time.Minute).UTC(), s.From.Time)
		}
	}
}

// shardOf is the shard that a process begins with.
func shardOf(r *Repository) int16 {
	shard := r.shards.Take()
	r.shards.Give(shard)
	return shard
}

// onShard is a process that begins with a shard, or with another.
func onShard(pool *pgxpool.Pool, shard int16, same bool) *Repository {
	for {
		if r := NewRepository(pool); (shardOf(r) == shard) == same {
			return r
		}
	}
}

// TestShardsAddUp: of processes that write the same calls at the same time.
func TestShardsAddUp(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	const batches = 24
	from := time.Now().Truncate(time.Minute).Add(-10 * time.Minute)
	all := make([][]Call, batches)
	for i := range all {
		all[i] = ofAllKinds(c.caller.Organization, from)
	}
	// The second has shards of its own, the third meets the first.
	processes := []*Repository{c.repository, onShard(c.pool, shardOf(c.repository), false), onShard(c.pool, shardOf(c.repository), true)}
	var group sync.WaitGroup
	for n, r := range processes {
		for worker := range 2 {
			group.Go(func() {
				for i := range all {
					if err := r.insert(context.Background(), all[(i+n*7+worker*3)%batches]); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
	for _, step := range []minutes.Step{60, 300, 3600} {
		q := lately()
		q.Step = step
		require.Equal(t, Statistics{Calls: 6 * batches, Succeeded: 2 * batches, Failed: batches, Refused: batches, Unknown: batches, Asked: batches, Credits: 6 * batches},
			summed(t, NewCalls(Config{Days: 1}, c.repository), c.caller, q))
	}
	shards, err := postgres.Value[int64](t.Context(), c.pool, `SELECT count(DISTINCT shard) FROM uaol_proxy.call_minutes`)
	require.NoError(t, err)
	require.Greater(t, shards, int64(1))
}

func TestBucketsOfCalls(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	calls := NewCalls(Config{Days: 1}, c.repository)
	now := time.Now().UTC().Truncate(time.Hour)
	at := func(minute, second int) time.Time {
		return now.Add(time.Duration(minute-60)*time.Minute + time.Duration(second)*time.Second)
	}
	call := func(outcome Outcome, took time.Duration, began time.Time) Call {
		return Call{ID: uuid.New(), Organization: c.caller.Organization, Outcome: outcome, Latency: took, Credits: 2, At: began}
	}
	require.NoError(t, c.repository.insert(t.Context(), []Call{
		call(Succeeded, 30*time.Millisecond, at(-1, 59)), // before
		call(Succeeded, 30*time.Millisecond, at(0, 0)),
		call(Failed, 3*time.Second, at(4, 59)),
		call(Refused, time.Hour, at(5, 0)),
		call(Succeeded, 50*time.Microsecond, at(14, 59)),
		call(Succeeded, 30*time.Millisecond, at(15, 0)), // after
	}))
	all, err := calls.Statistics(t.Context(), c.caller, minutes.Query{From: at(0, 30), To: at(14, 30), Step: 300})
	require.NoError(t, err)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	moment := func(minute int) string { return services.Time{Time: at(minute, 0)}.String() }
	require.JSONEq(t, `[
		{"from":"`+moment(0)+`","calls":2,"succeeded":1,"failed":1,"refused":0,"unknown":0,"asked":0,"credits":4,"p50Ms":31.204,"p95Ms":2976.737},
		{"from":"`+moment(5)+`","calls":1,"succeeded":0,"failed":0,"refused":1,"unknown":0,"asked":0,"credits":2,"p50Ms":null,"p95Ms":null},
		{"from":"`+moment(10)+`","calls":1,"succeeded":1,"failed":0,"refused":0,"unknown":0,"asked":0,"credits":2,"p50Ms":0.1,"p95Ms":0.1}]`, string(text))
}

// TestWhoSeesWhichCounts: members their organisation's, and the platform's admins all.
func TestWhoSeesWhichCounts(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	calls := NewCalls(Config{Days: 1}, c.repository)
	theirs := uuid.New()
	require.NoError(t, c.repository.insert(t.Context(), ofAllKinds(c.caller.Organization, lastly())))
	require.NoError(t, c.repository.insert(t.Context(), ofAllKinds(theirs, lastly())[:2]))
	member := services.Caller{Account: uuid.New(), Organization: theirs, Role: services.RoleUser, OrgRole: services.OrgViewer}
	admin := services.Caller{Account: uuid.New(), Organization: theirs, Role: services.RoleAdmin, OrgRole: services.OrgMember}
	all := lately()
	all.Scope = minutes.Platform
	for _, caller := range []services.Caller{member, as(member, services.OrgOwner), admin} {
		require.EqualValues(t, 2, summed(t, calls, caller, lately()).Calls)
	}
	require.EqualValues(t, 6, summed(t, calls, c.caller, lately()).Calls)
	require.EqualValues(t, 8, summed(t, calls, admin, all).Calls)
	for _, caller := range []services.Caller{member, as(member, services.OrgOwner), c.caller} {
		_, err := calls.Statistics(t.Context(), caller, all)
		require.Equal(t, services.Forbidden, services.KindOf(err))
	}
}

// TestCountsGo when they are old, and with their organisation.
func TestCountsGo(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	calls := NewCalls(Config{Days: 365}, c.repository)
	left := func() (organizations []uuid.UUID) {
		organizations, err := postgres.Values[uuid.UUID](t.Context(), c.pool, `SELECT DISTINCT organization_id FROM uaol_proxy.call_minutes`)
		require.NoError(t, err)
		return organizations
	}
	theirs, olds := uuid.New(), uuid.New()
	require.NoError(t, c.repository.insert(t.Context(), ofAllKinds(c.caller.Organization, time.Now().Add(time.Hour-minutes.Kept))))
	require.NoError(t, c.repository.insert(t.Context(), ofAllKinds(olds, time.Now().Add(-time.Hour-minutes.Kept))))
	require.NoError(t, c.repository.insert(t.Context(), ofAllKinds(theirs, time.Now())))
	require.Len(t, left(), 3)
	require.NoError(t, calls.Forget(t.Context()))
	require.ElementsMatch(t, []uuid.UUID{c.caller.Organization, theirs}, left())
	person := services.Person{Account: c.caller.Account, Organizations: []uuid.UUID{c.caller.Organization}, Shared: []uuid.UUID{theirs}, Guest: true}
	require.NoError(t, calls.Erase(t.Context(), person))
	require.Equal(t, []uuid.UUID{theirs}, left())
}

// TestPlansOfCounts: neither scope reads what it does not show.
func TestPlansOfCounts(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	_, err := postgres.Exec(t.Context(), c.pool, `
		INSERT INTO uaol_proxy.call_minutes (organization_id, minute, shard, outcome, latency, calls, credits)
		SELECT ('00000000-0000-4000-8000-0000000000' || lpad((n % 50)::text, 2, '0'))::uuid, date_trunc('minute', now()) - n / 50 * interval '1 minute', 0, 'success', 9, 1, 0
		FROM generate_series(1, 50000) n`)
	require.NoError(t, err)
	_, err = postgres.Exec(t.Context(), c.pool, `ANALYZE uaol_proxy.call_minutes`)
	require.NoError(t, err)
	plans := pgtest.Explain(t, c.pool, "uaol_proxy", "call_minutes")
	r := NewRepository(plans.Pool)
	for _, organization := range []uuid.UUID{uuid.MustParse("00000000-0000-4000-8000-000000000007"), uuid.Nil} {
		rows, err := r.counts(t.Context(), minutes.Window{All: organization == uuid.Nil, Organization: organization, From: time.Now().Add(-time.Hour), To: time.Now(), Step: time.Minute})
		require.NoError(t, err)
		require.NotEmpty(t, rows)
	}
	require.Contains(t, plans.Last(), "call_minutes_age")
	require.NoError(t, r.insert(t.Context(), ofAllKinds(uuid.New(), time.Now())))
	_, err = r.forgetMinutes(t.Context(), 10)
	require.NoError(t, err)
	require.GreaterOrEqual(t, plans.Seen(), 3)
}

// door lets a test in as whoever it says.
type door struct{ services.Caller }

func (d door) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return d.Caller, "", nil
}

func TestStatisticsOverHTTP(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	require.NoError(t, c.repository.insert(t.Context(), ofAllKinds(c.caller.Organization, lastly())))
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	api.Mount(engine, api.Guards{Authenticator: door{c.caller}}, true, NewCallsHandler(NewCalls(Config{Days: 1}, c.repository)).operations()...)
	get := func(query string) (int, map[string]any) {
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/proxy/calls/statistics"+query, nil))
		var answer map[string]any
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer), recorder.Body)
		return recorder.Code, answer
	}
	status, answer := get("")
	require.Equal(t, http.StatusOK, status, answer)
	data := answer["data"].([]any)
	require.GreaterOrEqual(t, len(data), 60)
	var n float64
	for _, s := range data {
		n += s.(map[string]any)["calls"].(float64)
	}
	require.EqualValues(t, 6, n)
	for query, path := range map[string]string{
		"?step=61":                  "query.step",
		"?scope=everybody":          "query.scope",
		"?from=yesterday":           "query.from",
		"?to=2020-01-01T00:00:00Z":  "query.from",
		"?from=2999-01-01T00:00:00": "query.from",
		"?step=60&from=" + time.Now().Add(-24*time.Hour).UTC().Format(time.RFC3339): "query.step",
	} {
		status, answer = get(query)
		require.Equal(t, http.StatusBadRequest, status, query)
		details := answer["error"].(map[string]any)["details"].([]any)
		require.Equal(t, path, details[0].(map[string]any)["path"], query)
	}
	status, _ = get("?scope=platform")
	require.Equal(t, http.StatusForbidden, status)
}
