package original

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing"
	"uaol/services/registry"
)

// TestAddressIsSomebodysHere: who registered here with an address keeps it, and gets
// nothing of its other holder's.
func TestAddressIsSomebodysHere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	verifier, meter := b.verifier(t)
	key, err := auth.EnsureAdmin(t.Context(), b.to.Auth, "ada@example.com", "")
	require.NoError(t, err)
	ada, adaKey := b.user(t, "Ada@example.com", 120, "Pro")
	b.put(t, `UPDATE public.users SET api_key = api_key || $1`, strings.Repeat("x", 10))
	adaKey += strings.Repeat("x", 10)
	r := b.run(t)
	require.Equal(t, texts(ada), r.found(EmailTaken))
	require.Equal(t, texts(ada), b.run(t).found(EmailTaken), "it is told each time")
	for secret, want := range map[string]int64{key: 10_000, adaKey: 100_120} {
		v, err := verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: secret})
		require.NoError(t, err)
		require.Equal(t, secret == adaKey, v.Caller.Account == ada)
		require.Equal(t, secret == key, v.Caller.Admin())
		balance, err := meter.Balance(t.Context(), billing.BalanceRequest{Caller: v.Caller})
		require.NoError(t, err)
		require.Equal(t, want, balance.Available)
	}
}

// TestKeyIsSomebodysHere: it stays so.
func TestKeyIsSomebodysHere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, key := b.user(t, "ada@example.com", 0, "Free")
	_, err := auth.EnsureAdmin(t.Context(), b.to.Auth, "admin@example.com", key)
	require.NoError(t, err)
	r := b.run(t)
	require.Equal(t, texts(ada), r.found(KeyTaken))
	require.Equal(t, Count{Found: 1, Left: 1}, r.Keys)
	verifier, _ := b.verifier(t)
	v, err := verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: key})
	require.NoError(t, err)
	require.True(t, v.Caller.Admin())
}

// TestTwoHaveOneKey: where nothing has kept that from being so, it is the older one's.
func TestTwoHaveOneKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, `ALTER TABLE public.users DROP CONSTRAINT users_api_key_key, DROP CONSTRAINT users_email_key`)
	ada, key := b.user(t, "ada@example.com", 0, "Free")
	var others []uuid.UUID
	for range 4 { // in this batch and the next
		id, _ := b.user(t, "ada@example.com", 0, "Free")
		others = append(others, id)
	}
	b.put(t, `UPDATE public.users SET api_key = $1`, key)
	said := b.run(t, dry)
	require.Equal(t, texts(others...), said.found(KeyTaken))
	require.Equal(t, texts(others...), said.found(EmailTaken))
	said.DryRun = false
	require.Equal(t, said, b.run(t))
	require.Equal(t, ada, value[uuid.UUID](t, b.target, `SELECT account_id FROM uaol_auth.api_keys`))
}

// TestWhatHasChangedSince neither comes back nor counts twice: a key that was taken
// away, credits that were spent there or here, an account that was deleted.
func TestWhatHasChangedSince(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adaKey := b.user(t, "ada@example.com", 120, "Pro")
	gone, goneKey := b.user(t, "gone@example.com", 30, "Free")
	b.job(t, gone, "Success", "{}")
	b.tool(t, gone, "Gone", "https://tools.example.com/mcp", 1, "Approved", "json-rpc")
	b.run(t)
	verifier, meter := b.verifier(t)
	v, err := verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: adaKey})
	require.NoError(t, err)
	_, err = meter.SetTier(t.Context(), billing.Correction{Organization: v.Caller.Organization, Operation: uuid.New(), Tier: billing.Enterprise})
	require.NoError(t, err)
	_, err = meter.Deduct(t.Context(), billing.Correction{Organization: v.Caller.Organization, Operation: uuid.New(), Amount: 1_000_050})
	require.NoError(t, err)
	_, err = b.target.Exec(t.Context(), `UPDATE uaol_auth.api_keys SET revoked_at = now() WHERE account_id = $1`, ada)
	require.NoError(t, err)
	b.put(t, `UPDATE public.users SET current_credits = 90 WHERE user_id = $1`, ada)

	// What the eraser leaves of an account, here and at the other services.
	home := value[uuid.UUID](t, b.target, `SELECT organization_id FROM uaol_auth.accounts WHERE account_id = $1`, gone)
	who := services.Person{Account: gone, Organizations: []uuid.UUID{home}}
	require.NoError(t, meter.Erase(t.Context(), who))
	for _, sql := range []string{
		`DELETE FROM uaol_auth.api_keys WHERE account_id = $1`, `DELETE FROM uaol_auth.accounts WHERE account_id = $1`,
		`DELETE FROM uaol_jobs.archive WHERE account_id = $1`, `DELETE FROM uaol_registry.tools WHERE developer_id = $1`,
	} {
		_, err = b.target.Exec(t.Context(), sql, gone)
		require.NoError(t, err)
	}
	_, err = b.target.Exec(t.Context(), `DELETE FROM uaol_auth.organizations WHERE organization_id = $1`, home)
	require.NoError(t, err)

	before := contents(t, b.target, "uaol%")
	r := b.run(t)
	require.Equal(t, before, contents(t, b.target, "uaol%"))
	require.Equal(t, texts(ada), r.found(CreditsChanged))
	require.Equal(t, texts(gone), r.found(Ended))
	require.Equal(t, Count{Found: 2, Already: 1, Left: 1}, r.Users)
	require.EqualValues(t, 1, r.counted(JobOwner))
	require.EqualValues(t, 1, r.counted(ToolOwner))
	_, err = verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: goneKey})
	require.Error(t, err)
	balance, err := meter.Balance(t.Context(), billing.BalanceRequest{Caller: v.Caller})
	require.NoError(t, err)
	require.Equal(t, billing.Enterprise, balance.Tier)
	require.EqualValues(t, 70, balance.Available)
	b.verified(t)
}

// TestLeaving: an account that is being erased, which billing has not heard of yet.
func TestLeaving(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.user(t, "ada@example.com", 5, "Free")
	_, err := b.target.Exec(t.Context(), `INSERT INTO uaol_auth.erasures (account_id, guest, organizations, services) VALUES ($1, false, '{}', '{}')`, id)
	require.NoError(t, err)
	require.Equal(t, texts(id), b.run(t).found(Ended))
	require.Zero(t, value[int](t, b.target, `SELECT count(*) FROM uaol_billing.journal`))
}

// TestUsedBefore: an account that was used here keeps its plan and gets its credits.
func TestUsedBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, key := b.user(t, "ada@example.com", 55, "Pro")
	require.NoError(t, b.to.Auth.BringUsers(t.Context(), []auth.OriginalUser{{ID: id, Organization: organizationOf(id), Email: "ada@example.com", Key: key, CreatedAt: time.Now()}}))
	verifier, meter := b.verifier(t)
	v, err := verifier.Verify(t.Context(), auth.VerifyRequest{APIKey: key})
	require.NoError(t, err)
	_, err = meter.Balance(t.Context(), billing.BalanceRequest{Caller: v.Caller})
	require.NoError(t, err)
	said := b.run(t, dry)
	require.Equal(t, texts(id), said.found(TierKept))
	done := b.run(t)
	require.Equal(t, said.Findings, done.Findings)
	require.EqualValues(t, 55, done.Granted)
	balance, err := meter.Balance(t.Context(), billing.BalanceRequest{Caller: v.Caller})
	require.NoError(t, err)
	require.Equal(t, billing.Balance{Tier: billing.Free, Available: 10_055}, balance)
	b.verified(t)
}

func TestKeepApprovals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := fill(t, b)
	keep := func(in *Options) { in.KeepApprovals = true }
	r := b.run(t, keep)
	require.Equal(t, texts(a.approved, a.rest), r.found(ToolUnpinned))
	require.Empty(t, r.found(ToolWaits))
	registryOf := registry.NewService(b.to.Registry, b.to.Policy, nil, nil, nil)
	offers, err := registryOf.Offers(t.Context(), registry.ToolsRequest{IDs: []uuid.UUID{a.approved, a.rest, a.pending, a.disabled}})
	require.NoError(t, err)
	require.Len(t, offers, 2)
	for _, offer := range offers {
		require.False(t, offer.Pinned)
		require.Equal(t, map[uuid.UUID]int64{a.approved: 3, a.rest: 1}[offer.ToolID], offer.Price)
	}
	require.Equal(t, "Approved 1 t", value[string](t, b.target, `
		SELECT concat_ws(' ', v.status, t.approved_version, h.due_at <= now())
		FROM uaol_registry.tools t JOIN uaol_registry.versions v USING (tool_id) JOIN uaol_registry.health h USING (tool_id)
		WHERE tool_id = $1`, a.approved), "its server is looked at next")
}

// TestOldTables: a database from before guests and protocols, with ids that are no
// UUIDs and columns that may be null.
func TestOldTables(t *testing.T) {
	t.Parallel()
	b := setup(t, "schema.sql")
	b.put(t, `
		ALTER TABLE public.mcp_tools DROP CONSTRAINT tools_developer, ALTER COLUMN developer_id TYPE text, ALTER COLUMN developer_id DROP NOT NULL,
			ALTER COLUMN tool_id DROP DEFAULT, ALTER COLUMN tool_id TYPE text, DROP CONSTRAINT tools_status, ALTER COLUMN status DROP NOT NULL;
		ALTER TABLE public.processing_jobs DROP CONSTRAINT jobs_user, ALTER COLUMN user_id TYPE text, ALTER COLUMN user_id DROP NOT NULL,
			ALTER COLUMN job_id DROP DEFAULT, ALTER COLUMN job_id TYPE text, ALTER COLUMN workflow_definition DROP NOT NULL, DROP CONSTRAINT jobs_status,
			ALTER COLUMN retry_count DROP NOT NULL, ALTER COLUMN created_at DROP NOT NULL, ALTER COLUMN start_time DROP NOT NULL;
		ALTER TABLE public.users ALTER COLUMN user_id DROP DEFAULT, ALTER COLUMN user_id TYPE text, ALTER COLUMN email DROP NOT NULL,
			ALTER COLUMN current_credits DROP NOT NULL, DROP CONSTRAINT users_tier, ALTER COLUMN subscription_tier DROP NOT NULL,
			ALTER COLUMN api_key DROP NOT NULL, ALTER COLUMN created_at DROP NOT NULL;
		INSERT INTO public.users (user_id, email, current_credits, subscription_tier, api_key, created_at) VALUES
			('17', 'ada@example.com', 8, 'Gold', 'uaol_00000000000000000000000000000000_a', now()),
			('eighteen', NULL, NULL, NULL, NULL, NULL);
		INSERT INTO public.mcp_tools (tool_id, name, gateway_url, developer_id, status) VALUES
			('t1', 'One', 'https://tools.example.com', '17', 'Pending'), ('t2', 'Two', 'https://tools.example.com', NULL, 'Pending'),
			('t3', 'Three', 'https://tools.example.com', '99', 'Pending'), ('t4', 'Four', 'https://tools.example.com', '17', NULL),
			('t5', 'Five', 'https://tools.example.com', '17', 'Broken');
		INSERT INTO public.processing_jobs (job_id, user_id, workflow_definition, status, retry_count, created_at, start_time) VALUES
			('j1', '17', NULL, 'Success', NULL, NULL, NULL), ('j2', NULL, '{}', 'Failed', 0, now(), now()), ('j3', '17', '{}', 'Odd', 0, now(), now());`)
	r := b.run(t)
	require.Equal(t, []string{"17", "eighteen", "j1", "t1", "t2", "t3", "t4", "t5"}, r.found(IDChanged))
	require.Equal(t, []string{"17", "eighteen"}, r.found(TierUnknown))
	require.Equal(t, []string{"t2", "t3"}, r.found(ToolOwner))
	require.Equal(t, []string{"t4", "t5"}, r.found(ToolRefused))
	require.Equal(t, []string{"j2"}, r.found(JobOwner))
	require.Equal(t, []string{"j3"}, r.found(JobStatus))
	require.Equal(t, Count{Found: 2, Brought: 2}, r.Users)
	require.Equal(t, Count{Found: 3, Brought: 1, Left: 2}, r.Jobs)
	id, kept := idOf("user", "17")
	require.False(t, kept)
	require.Equal(t, id, value[uuid.UUID](t, b.target, `SELECT developer_id FROM uaol_registry.tools`))
	require.Equal(t, id, value[uuid.UUID](t, b.target, `SELECT account_id FROM uaol_jobs.archive`))
	require.Equal(t, upstream.ProtocolJSONRPC, value[string](t, b.target, `SELECT protocol FROM uaol_registry.tools`))
	again := b.run(t)
	require.Equal(t, Count{Found: 2, Already: 2}, again.Users)
	require.Equal(t, Count{Found: 3, Already: 1, Left: 2}, again.Jobs)
	b.verified(t)
}

// TestLargeJobs: what is too large never leaves the source, and the rest is not in
// memory at once.
func TestLargeJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, _ := b.user(t, "ada@example.com", 0, "Free")
	large := func(bytes int) string { return `{"a":"` + strings.Repeat("x", bytes) + `"}` }
	output := b.job(t, ada, "Success", large(mostOfJob))
	fits := b.job(t, ada, "Success", large(mostOfJob-100))
	definition := b.job(t, ada, "Failed", "")
	b.put(t, `UPDATE public.processing_jobs SET workflow_definition = jsonb_build_object('steps', '[]'::jsonb, 'x', repeat('x', $2)) WHERE job_id = $1`, definition, mostOfJob)
	wide := b.job(t, ada, "Failed", "")
	b.put(t, `UPDATE public.processing_jobs SET error_message = repeat('ü', 1000000) WHERE job_id = $1`, wide)
	r := b.run(t)
	require.Equal(t, texts(output), r.found(OutputTooLarge))
	require.Equal(t, texts(definition), r.found(JobTooLarge))
	require.Equal(t, Count{Found: 4, Brought: 3, Left: 1}, r.Jobs)
	require.Equal(t, `{"truncated":true}`, string(b.kept(t, output).Output))
	require.Len(t, string(b.kept(t, fits).Output), mostOfJob-100+len(large(0)))
	require.Less(t, len(b.kept(t, wide).Error), 5000)

	// Of many large ones a batch holds no more than fits, and the one after that.
	const megabytes = 3
	b.put(t, `INSERT INTO public.processing_jobs (user_id, workflow_definition, status, final_output)
		SELECT $1, '{}', 'Success', jsonb_build_object('a', repeat('y', $2 * 1024 * 1024)) FROM generate_series(1, 10)`, ada, megabytes)
	batches, most := 0, 0
	require.NoError(t, read(t.Context(), b.source.Config().ConnString(), func(s *source) error {
		batch := newBatch(usualBatch, func(rows []jobRow) error {
			held := 0
			for _, row := range rows {
				held += len(said(row.Output))
			}
			batches, most = batches+1, max(most, held)
			return nil
		})
		if err := s.jobs(t.Context(), 4<<20, func(row jobRow) error { return batch.add(row, len(said(row.Output))) }); err != nil {
			return err
		}
		return batch.flush()
	}))
	require.Greater(t, batches, 2)
	require.Less(t, most, batchBytes+(megabytes+1)<<20)
}

// history is a job as it was put away.
type history struct {
	Output json.RawMessage
	Error  string
}

func (b *bench) kept(t testing.TB, id uuid.UUID) (h history) {
	t.Helper()
	document := value[[]byte](t, b.target, `SELECT document FROM uaol_jobs.archive WHERE job_id = $1`, id)
	r, err := gzip.NewReader(bytes.NewReader(document))
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	var a struct {
		Row struct {
			Output json.RawMessage `json:"final_output"`
			Error  *string         `json:"error_message"`
		} `json:"row"`
	}
	require.NoError(t, json.Unmarshal(text, &a))
	return history{Output: a.Row.Output, Error: said(a.Row.Error)}
}

// TestNotTheOriginals says in a line what is wrong, without the password.
func TestNotTheOriginals(t *testing.T) {
	t.Parallel()
	b := setup(t, "schema.sql")
	b.put(t, `DROP TABLE public.processing_jobs; ALTER TABLE public.mcp_tools RENAME TO tools`)
	_, err := b.try(t.Context())
	require.ErrorContains(t, err, "there is no public.mcp_tools, public.processing_jobs in the database")
	b.put(t, `ALTER TABLE public.tools RENAME TO mcp_tools; CREATE TABLE public.processing_jobs (id int)`)
	_, err = b.try(t.Context())
	require.ErrorContains(t, err, "the source could not be read: column j.user_id does not exist")
	for _, from := range []string{
		"postgres://uaol:hunter2@127.0.0.1:1/uaol", "postgres://uaol:hunter2@localhost:none/uaol", "postgres://uaol:hunter2@[::1/uaol", "hunter2",
	} {
		_, err := b.try(t.Context(), func(in *Options) { in.From = from })
		require.ErrorContains(t, err, "--from", from)
		if from != "hunter2" {
			require.NotContains(t, err.Error(), "hunter2")
		}
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	instead, at := time.Unix(1, 0), time.Unix(2, 0)
	require.Equal(t, at, moment(pgtype.Timestamptz{Time: at, Valid: true}, instead))
	for _, odd := range []pgtype.Timestamptz{
		{}, {Valid: true, InfinityModifier: pgtype.Infinity}, {Valid: true, InfinityModifier: pgtype.NegativeInfinity},
		{Valid: true, Time: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)}, {Valid: true, Time: time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		require.Equal(t, instead, moment(odd, instead))
	}
}

func TestReportKeepsOrderAndBounds(t *testing.T) {
	t.Parallel()
	r := newReport(false)
	for i := range mostItems + 5 {
		part := newReport(false)
		part.find(JobUnfinished, fmt.Sprint(i), "x")
		part.find(EmailTaken, fmt.Sprint(i), "x")
		r.merge(part)
	}
	r.count(Guests, 3)
	require.Equal(t, []Code{Guests, EmailTaken, JobUnfinished}, []Code{r.Findings[0].Code, r.Findings[1].Code, r.Findings[2].Code})
	require.Len(t, r.Findings[2].Items, mostItems)
	require.EqualValues(t, mostItems+5, r.Findings[2].Count)
	require.NotEmpty(t, r.Findings[0].Meaning)
}

// FuzzRows: whatever a row says, it is decided about, and what is stored is fit to be.
func FuzzRows(f *testing.F) {
	f.Add("not an id", "Ada@Example.com", "uaol_00000000000000000000000000000000_a", "https://tools.example.com", "json-rpc", int64(1))
	f.Add("0199c0de-0000-7000-8000-000000000001", "x", "", "http://127.0.0.1", "rest", int64(-1))
	f.Add("{0199c0de-0000-7000-8000-000000000001}", "a\x00b@c.d", "eyJ.a.b", "://", "", int64(1<<62))
	b := setup(f)
	f.Fuzz(func(t *testing.T, id, email, key, url, protocol string, number int64) {
		one, kept := idOf("user", id)
		two, _ := idOf("user", id)
		require.Equal(t, one, two)
		require.NotEqual(t, uuid.Nil, one)
		if kept {
			require.Equal(t, strings.ToLower(id), one.String())
		}
		r := &run{Target: b.to, report: newReport(true), taken: map[digest]uuid.UUID{}}
		a := &arrivals{part: newReport(true), taken: map[digest]uuid.UUID{}}
		r.decideUser(a, one, userRow{ID: id, Email: &email, Key: &key, Credits: &number})
		require.Len(t, a.users, 1)
		u := a.users[0]
		spelt, ok := auth.OriginalEmail(u.Email)
		require.True(t, ok)
		require.Equal(t, spelt, u.Email)
		require.True(t, u.Key == "" || len(u.Key) >= 32)
		require.True(t, a.credits[0].Amount >= 0 && a.credits[0].Amount <= billing.MostOriginal)
		tool, err := registry.OriginalTool{ID: one, Name: email, GatewayURL: url, Protocol: protocol, Price: number, Status: registry.Approved}.Checked(b.to.Policy)
		if err == nil {
			require.True(t, tool.Price >= 0 && len([]rune(tool.Name)) <= 100 && tool.Name != "")
			require.Contains(t, []string{"json-rpc", "rest"}, tool.Protocol)
		}
		job, bring := decideJob(newReport(true), one, jobRow{ID: id, User: &id, Status: "Success", Definition: &email, Output: &key},
			map[string]owner{id: {account: one, organization: one}}, false)
		require.True(t, bring)
		require.False(t, job.EndTime.Before(job.CreatedAt))
	})
}
