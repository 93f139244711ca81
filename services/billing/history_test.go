package billing

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
	"uaol/services/billing/chain"
)

// line is an entry as the history shows it.
type line struct {
	Seq       int64
	Kind      Kind
	Amount    string
	Change    string
	Balance   string
	Tool      *uuid.UUID `json:"toolId"`
	Job       *uuid.UUID `json:"jobId"`
	Account   *uuid.UUID `json:"accountId"`
	Key       *uuid.UUID `json:"keyId"`
	Facts     json.RawMessage
	Sealed    bool
	CreatedAt time.Time
}

// raw gives an answer as it is.
func (s *site) raw(t testing.TB, caller services.Caller, path string) *httptest.ResponseRecorder {
	t.Helper()
	s.caller = caller
	recorder := httptest.NewRecorder()
	s.engine.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
	return recorder
}

// every reads a list to its end, in pages.
func every[T any](t testing.TB, s *site, caller services.Caller, path string, limit int) (all []T) {
	t.Helper()
	cursor := ""
	for {
		query := "?"
		if strings.Contains(path, "?") {
			query = "&"
		}
		answer := s.raw(t, caller, path+query+"limit="+strconv.Itoa(limit)+"&cursor="+url.QueryEscape(cursor))
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		var page struct {
			Data []T
			Next string `json:"nextCursor"`
		}
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &page))
		require.LessOrEqual(t, len(page.Data), limit)
		all = append(all, page.Data...)
		if page.Next == "" {
			return all
		}
		require.Len(t, page.Data, limit, "a page with another behind it is full")
		cursor = page.Next
	}
}

// age lets an account's first entries, up to one, be of some time ago.
func (b *bench) age(t testing.TB, organization uuid.UUID, last int64, by time.Duration) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.journal SET created_at = created_at - $3 * interval '1 second'
		WHERE organization_id = $1 AND seq <= $2`, organization, last, int64(by/time.Second))
	require.NoError(t, err)
}

// spends holds and settles with a tool and a key for a job.
func (b *bench) spends(t testing.TB, caller services.Caller, job, tool uuid.UUID, amount, paid int64) {
	t.Helper()
	in := HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Job: job, Amount: amount, Lifetime: time.Minute}
	_, err := b.service.Hold(t.Context(), in)
	require.NoError(t, err)
	_, err = b.service.Settle(t.Context(), SettleRequest{HoldID: in.ID, Charges: []Charge{{Operation: in.ID.String(), Amount: paid, Tool: tool, Facts: Facts{Method: "m", Version: 3}}}})
	require.NoError(t, err)
	if paid < amount {
		b.release(t, in.ID)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, shared := b.site(t), uuid.New()
	anna, bert, stranger := actingFor(user(), shared), actingFor(user(), shared), user()
	anna.OrgRole = services.OrgAdmin
	withKey := anna
	withKey.Key = uuid.New()
	job, toolA, toolB := uuid.New(), uuid.New(), uuid.New()
	b.buy(t, anna, 10_000)
	b.spends(t, anna, job, toolA, 10, 10)
	b.spends(t, bert, uuid.Nil, toolA, 20, 5)
	b.spends(t, withKey, job, toolB, 30, 30)
	b.spends(t, stranger, job, toolA, 999, 999)
	_, err := b.service.Refund(t.Context(), Correction{Organization: shared, Operation: uuid.New(), Amount: 7, Job: job, Reason: "x\x00y"})
	require.NoError(t, err)
	for range 3 {
		b.give(t, anna, 1)
	}

	for _, path := range []string{"/credits/history", "/credits/history?accountId=" + anna.Account.String()} {
		own := every[line](t, s, bert, path, 200)
		require.Len(t, own, 3, "a member sees what is the member's own: hold, settlement, release")
		for _, l := range own {
			require.Equal(t, bert.Account, *l.Account)
		}
	}
	require.Equal(t, []used{{bert.Account.String(), "5", 1}}, every[used](t, s, bert, "/credits/usage?by=member", 50))
	all := every[line](t, s, anna, "/credits/history", 200)
	require.Len(t, all, 12) // the purchase, three holds and settlements, a release, a refund, three grants
	require.True(t, slices.IsSortedFunc(all, func(x, y line) int { return int(y.Seq - x.Seq) }), "the newest first")
	running := int64(0)
	for _, l := range slices.Backward(all) {
		amount, err := strconv.ParseInt(l.Amount, 10, 64)
		require.NoError(t, err)
		running += amount * change(l.Kind)
		require.Equal(t, strconv.FormatInt(amount*change(l.Kind), 10), l.Change)
		require.Equal(t, strconv.FormatInt(running, 10), l.Balance, "%+v", l)
		require.NotEmpty(t, l.Facts)
	}
	require.Equal(t, b.balance(t, anna).Available, running)
	for _, limit := range []int{1, 2, 5, 11, 12, 13} {
		require.Equal(t, all, every[line](t, s, anna, "/credits/history", limit), "in pages of %d everything once", limit)
	}

	where := func(f func(line) bool) []line {
		return slices.DeleteFunc(slices.Clone(all), func(l line) bool { return !f(l) })
	}
	is := func(id *uuid.UUID, want uuid.UUID) bool { return id != nil && *id == want }
	for query, want := range map[string][]line{
		"kind=hold":                                         where(func(l line) bool { return l.Kind == chain.Hold }),
		"kind=refund":                                       where(func(l line) bool { return l.Kind == chain.Refund }),
		"kind=owe":                                          nil,
		"toolId=" + toolA.String():                          where(func(l line) bool { return is(l.Tool, toolA) }),
		"jobId=" + job.String():                             where(func(l line) bool { return is(l.Job, job) }),
		"accountId=" + anna.Account.String():                where(func(l line) bool { return is(l.Account, anna.Account) }),
		"accountId=" + bert.Account.String():                where(func(l line) bool { return is(l.Account, bert.Account) }),
		"keyId=" + withKey.Key.String():                     where(func(l line) bool { return is(l.Key, withKey.Key) }),
		"kind=settle&jobId=" + job.String():                 where(func(l line) bool { return l.Kind == chain.Settle && is(l.Job, job) }),
		"toolId=" + uuid.NewString():                        nil,
		"accountId=" + stranger.Account.String():            nil,
		"from=2020-01-01T00:00:00Z":                         all,
		"to=2020-01-01T00:00:00Z":                           nil,
		"from=2999-01-01T00:00:00Z":                         nil,
		"from=2999-01-01T00:00:00Z&to=2020-01-01T00:00:00Z": nil,
	} {
		got := every[line](t, s, anna, "/credits/history?"+query, 2)
		require.Equal(t, len(want), len(got), query)
		require.ElementsMatch(t, want, got, query)
	}
	require.Len(t, where(func(l line) bool { return is(l.Tool, toolA) }), 2)
	require.Len(t, where(func(l line) bool { return is(l.Job, job) }), 5)
	require.Len(t, where(func(l line) bool { return is(l.Key, withKey.Key) }), 2)
	require.Len(t, where(func(l line) bool { return is(l.Account, bert.Account) }), 3)

	// Some of it is older.
	b.age(t, shared, 1, 72*time.Hour)
	b.age(t, shared, 5, 24*time.Hour)
	between := func(from, to time.Duration) string {
		now := time.Now().UTC()
		return "/credits/history?from=" + now.Add(-from).Format(time.RFC3339) + "&to=" + now.Add(-to).Format(time.RFC3339)
	}
	require.Len(t, every[line](t, s, anna, between(48*time.Hour, 12*time.Hour), 3), 4)
	require.Len(t, every[line](t, s, anna, between(120*time.Hour, 48*time.Hour), 3), 1)
	require.Len(t, every[line](t, s, anna, between(12*time.Hour, -time.Hour), 3), 7)

	require.Equal(t, http.StatusBadRequest, s.raw(t, anna, "/credits/history?kind=gift").Code)
	require.Equal(t, http.StatusBadRequest, s.raw(t, anna, "/credits/history?cursor=%21").Code)
	require.Equal(t, http.StatusBadRequest, s.raw(t, anna, "/credits/history?from=yesterday").Code)
	require.Len(t, every[line](t, s, stranger, "/credits/history", 50), 3, "its own and nobody else's")
	b.audit(t)
}

// TestAPlansHistory goes back as many days as the plan says, for usage too.
func TestAPlansHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := plans(t)
	free := cfg.plans[Free]
	free.HistoryDays = 7
	cfg.plans[Free] = free
	b.service = NewService(cfg, b.repository)
	s, caller := b.site(t), user()
	b.spends(t, caller, uuid.Nil, uuid.New(), 10, 10)
	b.spends(t, caller, uuid.Nil, uuid.New(), 20, 20)
	b.age(t, caller.Organization, 3, 8*24*time.Hour)
	require.Len(t, every[line](t, s, caller, "/credits/history", 50), 2)
	require.Len(t, every[line](t, s, caller, "/credits/history?from=2020-01-01T00:00:00Z", 50), 2)
	require.Equal(t, []string{"20"}, creditsOf(every[used](t, s, caller, "/credits/usage?from=2020-01-01T00:00:00Z", 50)))
	_, err := b.service.SetTier(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Tier: Pro})
	require.NoError(t, err)
	require.Len(t, every[line](t, s, caller, "/credits/history", 50), 7)
	require.Equal(t, []string{"10", "20"}, creditsOf(every[used](t, s, caller, "/credits/usage?from=2020-01-01T00:00:00Z", 50)))

	free.HistoryDays = mostCredits // whatever can be set can be looked up
	cfg.plans[Free] = free
	b.service = NewService(cfg, b.repository)
	_, err = b.service.History(t.Context(), user(), HistoryFilter{}, 5)
	require.NoError(t, err)
}

type used struct {
	Key     string
	Credits string
	Charges int64
}

func creditsOf(all []used) (credits []string) {
	for _, u := range all {
		credits = append(credits, u.Credits)
	}
	return credits
}

func TestUsage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, shared := b.site(t), uuid.New()
	anna, bert := actingFor(user(), shared), actingFor(user(), shared)
	bert.OrgRole = services.OrgAdmin
	withKey := anna
	withKey.Key = uuid.New()
	job, toolA, toolB := uuid.New(), uuid.New(), uuid.New()
	b.buy(t, anna, 10_000)                         // 1
	b.spends(t, anna, job, toolA, 10, 10)          // 2, 3
	b.spends(t, bert, uuid.Nil, toolA, 20, 5)      // 4, 5, 6
	b.spends(t, withKey, job, toolB, 30, 30)       // 7, 8
	b.spends(t, user(), job, toolA, 999, 999)      // nobody's business here
	b.release(t, b.hold(t, anna, OwnerJob, 1_000)) // 9, 10: nothing was spent
	_, err := b.service.Refund(t.Context(), Correction{Organization: shared, Operation: uuid.New(), Amount: 7, Job: job})
	require.NoError(t, err)
	_, err = b.service.Deduct(t.Context(), Correction{Organization: shared, Operation: uuid.New(), Amount: 3})
	require.NoError(t, err)
	day := 24 * time.Hour
	b.age(t, shared, 6, 3*day)
	b.age(t, shared, 3, 40*day)
	of := func(ago time.Duration) string { return time.Now().UTC().Add(-ago).Format("2006-01-02") }
	since := "from=2020-01-01T00:00:00Z"
	for query, want := range map[string][]used{
		"by=day&" + since:    {{of(43 * day), "10", 1}, {of(3 * day), "5", 1}, {of(0), "26", 2}},
		"":                   {{of(3 * day), "5", 1}, {of(0), "26", 2}}, // days, of the last 30
		"by=tool&" + since:   {{toolB.String(), "30", 1}, {toolA.String(), "15", 2}, {"", "-4", 1}},
		"by=job&" + since:    {{job.String(), "33", 2}, {"", "8", 2}},
		"by=member&" + since: {{anna.Account.String(), "40", 2}, {bert.Account.String(), "5", 1}, {"", "-4", 1}},
		"by=key&" + since:    {{withKey.Key.String(), "30", 1}, {"", "11", 3}},
		"by=tool&" + since + "&to=" + time.Now().UTC().Add(-day).Format(time.RFC3339):                                                  {{toolA.String(), "15", 2}},
		"by=tool&from=" + time.Now().UTC().Add(-5*day).Format(time.RFC3339) + "&to=" + time.Now().UTC().Add(-day).Format(time.RFC3339): {{toolA.String(), "5", 1}},
		"to=2020-01-01T00:00:00Z": nil,
	} {
		for _, limit := range []int{1, 2, 50} {
			require.Equal(t, want, every[used](t, s, bert, "/credits/usage?"+query, limit), "%s, pages of %d", query, limit)
		}
		answer := s.raw(t, bert, "/credits/usage.csv?"+query)
		require.Equal(t, http.StatusOK, answer.Code)
		require.Equal(t, "text/csv; charset=utf-8", answer.Header().Get("Content-Type"))
		by := "day"
		if strings.HasPrefix(query, "by=") {
			by, _, _ = strings.Cut(query[3:], "&")
		}
		require.Equal(t, `attachment; filename="usage-by-`+by+`.csv"`, answer.Header().Get("Content-Disposition"))
		rows, err := csv.NewReader(answer.Body).ReadAll()
		require.NoError(t, err)
		wantRows := [][]string{{by, "credits", "charges"}}
		for _, u := range want {
			wantRows = append(wantRows, []string{u.Key, u.Credits, strconv.FormatInt(u.Charges, 10)})
		}
		require.Equal(t, wantRows, rows, query)
	}
	require.Equal(t, http.StatusBadRequest, s.raw(t, anna, "/credits/usage?by=mood").Code)
	require.Equal(t, http.StatusBadRequest, s.raw(t, anna, "/credits/usage.csv?by=mood").Code)
	require.Equal(t, http.StatusBadRequest, s.raw(t, anna, "/credits/usage?cursor=%21").Code)
	b.audit(t)
}

// TestUsageOfManyAlike: what was spent on equally is still listed once each.
func TestUsageOfManyAlike(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	s := b.site(t)
	want := map[string]bool{}
	for range 7 {
		tool := uuid.New()
		want[tool.String()] = true
		b.spends(t, caller, uuid.Nil, tool, 2, 2)
	}
	for _, limit := range []int{1, 3, 7} {
		got := map[string]bool{}
		for _, u := range every[used](t, s, caller, "/credits/usage?by=tool", limit) {
			require.False(t, got[u.Key], "twice")
			require.Equal(t, "2", u.Credits)
			got[u.Key] = true
		}
		require.Equal(t, want, got)
	}
}

// TestSeqAt finds by a few looks what going through everything finds.
func TestSeqAt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ctx := context.Background()
	seq, err := b.repository.seqAt(ctx, uuid.New(), start)
	require.NoError(t, err)
	require.EqualValues(t, 1, seq, "an account that is not there has no entries")
	rapid.Check(t, func(t *rapid.T) {
		organization := uuid.New()
		steps := rapid.SliceOfN(rapid.Int64Range(0, 3), 0, 40).Draw(t, "microseconds between entries") // several at one moment
		_, err := b.pool.Exec(ctx, `INSERT INTO uaol_billing.accounts (organization_id, tier, available, held, grants, last_seq) VALUES ($1, 'Free', $2, 0, $2, $2)`,
			organization, len(steps))
		require.NoError(t, err)
		times, at := []time.Time{}, start
		for i, step := range steps {
			at = at.Add(time.Duration(step) * time.Microsecond)
			times = append(times, at)
			_, err := b.pool.Exec(ctx, `INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
				VALUES ($1, $2, $3, 'grant', 1, $2, $4)`, organization, i+1, fmt.Sprint(i), at)
			require.NoError(t, err)
		}
		for range 6 {
			moment := start.Add(time.Duration(rapid.Int64Range(-2, 130).Draw(t, "moment")) * time.Microsecond)
			want := int64(1)
			for _, at := range times {
				if at.Before(moment) {
					want++
				}
			}
			got, err := b.repository.seqAt(ctx, organization, moment)
			require.NoError(t, err)
			require.Equal(t, want, got, "of %d, at %s", len(times), moment)
		}
	})
}
