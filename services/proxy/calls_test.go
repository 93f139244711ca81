package proxy

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/peers/peerstest"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// log is what some people have called.
type callLog struct {
	repository *Repository
	calls      *Calls
	team       uuid.UUID
	ada, bob   services.Caller // members of the team
	made       map[string]Call // by method
}

// newCallLog has three calls of each in the team, and one of Ada's at home.
func newCallLog(t testing.TB) *callLog {
	t.Helper()
	pool := pgtest.New(t)
	l := &callLog{repository: NewRepository(pool), team: uuid.New(), made: map[string]Call{}}
	l.calls = NewCalls(Config{Days: 30}, l.repository)
	member := func() services.Caller {
		return services.Caller{Account: uuid.New(), Organization: l.team, Home: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgMember}
	}
	l.ada, l.bob = member(), member()
	var all []Call
	add := func(caller services.Caller, organization uuid.UUID, method string) {
		key, job := uuid.New(), uuid.New()
		call := Call{
			ID: uuid.New(), Organization: organization, Account: caller.Account, Key: &key, ToolID: uuid.New(), Version: 1, Method: method,
			Outcome: Succeeded, JobID: &job, Step: "a", At: time.Now().Add(time.Duration(len(all)-7) * time.Hour).Truncate(time.Microsecond),
		}
		all = append(all, call)
		l.made[method] = call
	}
	for i := range 3 {
		add(l.ada, l.team, fmt.Sprint("ada", i))
		add(l.bob, l.team, fmt.Sprint("bob", i))
	}
	add(l.ada, l.ada.Home, "home")
	all[5].Outcome = Unknown
	require.NoError(t, l.repository.insert(t.Context(), all))
	return l
}

func methodsOf(records []Record) []string {
	methods := []string{}
	for _, r := range records {
		methods = append(methods, r.Method)
	}
	return methods
}

func (l *callLog) list(t testing.TB, caller services.Caller, f Filter) ([]string, error) {
	t.Helper()
	records, err := l.calls.List(t.Context(), caller, f, time.Now().Add(time.Hour), uuid.Max, 100)
	return methodsOf(records), err
}

func as(caller services.Caller, role services.OrgRole) services.Caller {
	caller.OrgRole = role
	return caller
}

func TestWhoSeesWhichCalls(t *testing.T) {
	t.Parallel()
	l := newCallLog(t)
	platform := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleAdmin, OrgRole: services.OrgOwner}
	stranger := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner}
	everything := []string{"bob2", "ada2", "bob1", "ada1", "bob0", "ada0"}
	for name, test := range map[string]struct {
		caller services.Caller
		filter Filter
		want   []string
		kind   services.Kind
	}{
		"a member her own":                  {caller: l.ada, want: []string{"ada2", "ada1", "ada0"}},
		"a viewer too":                      {caller: as(l.ada, services.OrgViewer), want: []string{"ada2", "ada1", "ada0"}},
		"a member by name":                  {caller: l.ada, filter: Filter{Account: l.ada.Account}, want: []string{"ada2", "ada1", "ada0"}},
		"no member another's":               {caller: l.ada, filter: Filter{Account: l.bob.Account}, kind: services.Forbidden},
		"an admin the organisation's":       {caller: as(l.ada, services.OrgAdmin), want: everything},
		"an owner too":                      {caller: as(l.ada, services.OrgOwner), want: everything},
		"an admin a member's":               {caller: as(l.ada, services.OrgAdmin), filter: Filter{Account: l.bob.Account}, want: []string{"bob2", "bob1", "bob0"}},
		"no owner another organisation's":   {caller: as(l.bob, services.OrgOwner), filter: Filter{Organization: l.ada.Home}, kind: services.Forbidden},
		"a platform admin any":              {caller: platform, filter: Filter{Organization: l.team}, want: everything},
		"a platform admin home":             {caller: platform, filter: Filter{Organization: l.ada.Home}, want: []string{"home"}},
		"a platform admin without a name":   {caller: platform, want: []string{}},
		"a stranger none":                   {caller: stranger, want: []string{}},
		"of a tool":                         {caller: as(l.ada, services.OrgAdmin), filter: Filter{Tool: l.made["bob1"].ToolID}, want: []string{"bob1"}},
		"of a key":                          {caller: as(l.ada, services.OrgAdmin), filter: Filter{Key: *l.made["bob1"].Key}, want: []string{"bob1"}},
		"of a job":                          {caller: as(l.ada, services.OrgAdmin), filter: Filter{Job: *l.made["ada0"].JobID}, want: []string{"ada0"}},
		"of a method":                       {caller: as(l.ada, services.OrgAdmin), filter: Filter{Method: "ada2"}, want: []string{"ada2"}},
		"with an outcome":                   {caller: as(l.ada, services.OrgAdmin), filter: Filter{Outcome: Unknown}, want: []string{"bob2"}},
		"from a moment up to before one":    {caller: as(l.ada, services.OrgAdmin), filter: Filter{From: l.made["bob0"].At, To: l.made["bob1"].At}, want: []string{"ada1", "bob0"}},
		"another's key shows a member none": {caller: l.ada, filter: Filter{Key: *l.made["bob1"].Key}, want: []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := l.list(t, test.caller, test.filter)
			require.Equal(t, test.kind, services.KindOf(err), "%v", err)
			if err == nil {
				require.Equal(t, test.want, got)
			}
		})
	}
	for name, test := range map[string]struct {
		caller services.Caller
		method string
		sees   bool
	}{
		"her own":                     {l.ada, "ada0", true},
		"another member's":            {l.ada, "bob0", false},
		"a member's, as admin":        {as(l.ada, services.OrgAdmin), "bob0", true},
		"hers of elsewhere":           {l.ada, "home", false},
		"anything, as platform admin": {platform, "home", true},
		"a stranger's":                {stranger, "ada0", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := l.calls.Find(t.Context(), test.caller, l.made[test.method].ID)
			if !test.sees {
				require.Equal(t, peerstest.Parts{Kind: services.NotFound, Message: "Call not found", Details: "null"}, peerstest.PartsOf(t, err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.method, got.Method)
		})
	}
	_, err := l.calls.Find(t.Context(), platform, uuid.New())
	require.EqualError(t, err, "Call not found")
}

// TestPagesOfCallsMissNone, even of one moment.
func TestPagesOfCallsMissNone(t *testing.T) {
	t.Parallel()
	l := newCallLog(t)
	handler := NewCallsHandler(l.calls)
	same := time.Now().Add(-time.Minute)
	var all []Call
	for i := range 5 {
		all = append(all, Call{ID: uuid.New(), Organization: l.team, Account: l.ada.Account, Method: fmt.Sprint("same", i), Outcome: Succeeded, At: same})
	}
	require.NoError(t, l.repository.insert(t.Context(), all))
	seen := map[string]int{}
	in := &callsInput{}
	in.Limit = 2
	pages := 0
	for {
		page, err := handler.list(t.Context(), l.ada, in)
		require.NoError(t, err)
		for _, r := range page.Data {
			seen[r.Method]++
		}
		if pages++; page.NextCursor == "" {
			break
		}
		in.Cursor = page.NextCursor
	}
	require.Equal(t, map[string]int{"same0": 1, "same1": 1, "same2": 1, "same3": 1, "same4": 1, "ada0": 1, "ada1": 1, "ada2": 1}, seen)
	require.Equal(t, 4, pages)
}

func TestACallInJSON(t *testing.T) {
	t.Parallel()
	l := newCallLog(t)
	call := l.made["ada1"]
	call.ID, call.Latency, call.Credits, call.Code, call.At = uuid.New(), 1234*time.Microsecond, 7, "OUTCOME_UNKNOWN", time.UnixMilli(1_700_000_000_123)
	call.Key, call.JobID = nil, nil
	require.NoError(t, l.repository.insert(t.Context(), []Call{call, call}))
	record, err := l.calls.Find(t.Context(), l.ada, call.ID)
	require.NoError(t, err)
	text, err := json.Marshal(record)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"callId":%q,"organizationId":%q,"accountId":%q,"keyId":null,"toolId":%q,"version":1,"method":"ada1",
		"argumentsDigest":"","argumentsShape":"","outcome":"success","code":"OUTCOME_UNKNOWN","bytesOut":0,"bytesIn":0,"credits":7,
		"jobId":null,"step":"a","traceId":"","latencyMs":1.234,"createdAt":"2023-11-14T22:13:20.123Z"}`, call.ID, l.team, l.ada.Account, call.ToolID), string(text))
}

func TestOldCallsAreForgotten(t *testing.T) {
	t.Parallel()
	l := newCallLog(t)
	at := time.Now().Add(-31 * 24 * time.Hour)
	var old []Call
	for range forgetBatch + 1 {
		old = append(old, Call{ID: uuid.New(), Organization: l.team, Outcome: Succeeded, At: at})
	}
	old[0].At = time.Now().Add(-29 * 24 * time.Hour)
	old[0].Account, old[0].Method = l.ada.Account, "kept"
	require.NoError(t, l.repository.insert(t.Context(), old))
	require.NoError(t, l.calls.Forget(t.Context()))
	got, err := l.list(t, as(l.ada, services.OrgAdmin), Filter{})
	require.NoError(t, err)
	require.Equal(t, []string{"bob2", "ada2", "bob1", "ada1", "bob0", "ada0", "kept"}, got)
}

// TestCallsAreHandedOutAndErased, here and from another process.
func TestCallsAreHandedOutAndErased(t *testing.T) {
	t.Parallel()
	for _, remotely := range []bool{false, true} {
		t.Run(fmt.Sprint("remotely ", remotely), func(t *testing.T) {
			t.Parallel()
			l := newCallLog(t)
			var keeper services.Keeper = l.calls
			if remotely {
				keeper = remote(t, peerstest.Serve(t, NewCallsHandler(l.calls).internal()...))
			}
			ada := services.Person{Account: l.ada.Account, Organizations: []uuid.UUID{l.ada.Home}, Shared: []uuid.UUID{l.team}}
			for name, in := range map[string]uuid.UUID{"mine": l.ada.Home, "ours": l.team} {
				_, err := l.repository.pool.Exec(t.Context(), `
					INSERT INTO uaol_proxy.profiles (profile_id, organization_id, account_id, name, description, definition) VALUES ($1, $2, $3, $4, '', '[]')`,
					uuid.New(), in, ada.Account, name)
				require.NoError(t, err)
			}
			var got, profiles []string
			for after := ""; ; {
				part, err := keeper.Export(t.Context(), services.ExportRequest{Person: ada, After: after})
				require.NoError(t, err)
				for _, item := range part.Items {
					var record struct{ Method, Name string }
					require.NoError(t, json.Unmarshal(item, &record))
					if part.Section == "profiles" {
						profiles = append(profiles, record.Name)
						continue
					}
					require.Equal(t, "calls", part.Section)
					got = append(got, record.Method)
				}
				if after = part.Next; after == "" {
					break
				}
			}
			require.Equal(t, []string{"home", "ada0", "ada1", "ada2"}, got)
			require.Equal(t, []string{"mine", "ours"}, profiles)

			for range 2 {
				require.NoError(t, keeper.Erase(t.Context(), ada))
			}
			owner := as(l.bob, services.OrgOwner)
			left, err := l.list(t, owner, Filter{})
			require.NoError(t, err)
			require.Len(t, left, 6, "they are the organisation's own")
			kept, err := postgres.Values[string](t.Context(), l.repository.pool, `SELECT name || account_id::text FROM uaol_proxy.profiles`)
			require.NoError(t, err)
			require.Equal(t, []string{"ours" + uuid.Nil.String()}, kept)
			left, err = l.list(t, owner, Filter{Account: l.ada.Account})
			require.NoError(t, err)
			require.Empty(t, left)
			record, err := l.calls.Find(t.Context(), owner, l.made["ada0"].ID)
			require.NoError(t, err)
			require.Equal(t, uuid.Nil, record.Account)
			require.Nil(t, record.Key)
			record, err = l.calls.Find(t.Context(), owner, l.made["bob0"].ID)
			require.NoError(t, err)
			require.NotNil(t, record.Key, "Bob's stay his")
			_, err = l.repository.find(t.Context(), l.made["home"].ID)
			require.Equal(t, services.NotFound, services.KindOf(err))
		})
	}
}
