package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/blobs"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/mail"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/auth/oidc"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/registry"
	"uaol/services/storage"
	"uaol/services/storage/library"
)

// platform is auth with the services that keep things of people, as in one process.
type platform struct {
	*bench
	registry  *registry.Service
	jobs      *jobs.Service
	storage   *storage.Service
	meter     *billing.Service
	calls     *proxy.Calls
	till      *proxy.Cashier
	files     string // where contents lie
	custodies []services.Custody
	eraser    *Eraser
}

func onPlatform(t testing.TB) *platform {
	t.Helper()
	w := &platform{bench: setup(t)}
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	w.registry = registry.NewService(registry.NewRepository(w.pool), policy, nil, nil, w.bus)
	w.meter = billingtest.New(t, w.pool)
	repository := jobs.NewRepository(w.pool)
	engine := jobs.NewEngine(repository, tools{}, jobs.Models{}, w.meter, w.bus, jobs.Config{Concurrency: 10}, zap.NewNop())
	w.jobs = jobs.NewService(repository, engine, w.registry, w.meter, policy, w.bus, zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); w.jobs.Close(); repository.Close() })
	data := t.TempDir()
	w.files = filepath.Join(data, "files")
	shelf := blobs.NewShelf("directory", blobs.NewDirectory(config.Process{DataDir: data}))
	t.Cleanup(func() { _ = shelf.Close() })
	files := storage.Config{Largest: "1MB"}
	require.NoError(t, files.Check())
	w.calls = proxy.NewCalls(proxy.Config{}, proxy.NewRepository(w.pool))
	w.till = proxy.NewTill(proxy.Config{}, w.meter, proxy.NewRepository(w.pool), zap.NewNop())
	w.till.Start()
	t.Cleanup(func() { require.NoError(t, w.till.Stop(context.Background())) })
	w.storage = storage.NewService(storage.NewRepository(w.pool), shelf, w.ring, w.meter, library.NewBell(), files, zap.NewNop())
	w.custodies = []services.Custody{
		{Service: services.Storage, Keeper: w.storage}, {Service: services.Billing, Keeper: w.meter},
		{Service: services.Jobs, Keeper: w.jobs}, {Service: services.Registry, Keeper: w.registry},
		{Service: services.Proxy, Keeper: w.calls},
	}
	w.eraser = NewEraser(w.repository, w.custodies, zap.NewNop())
	w.writeWith(t, mail.Config{}, w.custodies...)
	w.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"}) // mounts the routes
	return w
}

// lets an account have a program in for an organisation.
func (w *platform) lets(t testing.TB, account, organization uuid.UUID, name string) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), `
		WITH s AS (INSERT INTO uaol_auth.sessions (session_id, account_id, method, address, user_agent, expires_at)
			VALUES (gen_random_uuid(), $1, 'oauth', '', '', now() + interval '1 day') RETURNING session_id)
		INSERT INTO uaol_auth.oauth_grants (grant_id, organization_id, client_id, client_name, refreshes, resource, scopes,
			code_hash, code_expires_at, code_used_at, redirect_uri, challenge)
		SELECT session_id, $2, 'https://app.example.com/' || $3::text, $3::text, true, 'https://uaol.example.com/mcp', 'mcp:write',
			decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), now(), now(), 'https://app.example.com/back', 'x' FROM s`, account, organization, name)
	require.NoError(t, err)
}

// tools answer every call.
type tools struct{}

func (tools) Call(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
	return proxy.CallResult{Result: in.Params}, nil
}

func (tools) Methods(context.Context, proxy.MethodsRequest) ([]upstream.Method, error) {
	return nil, nil
}

// does lets a caller make one of everything that services keep, and waits until
// its job has ended. It gives the ids of the tools.
func (w *platform) does(t testing.TB, caller services.Caller, name string) (approved, pending uuid.UUID) {
	t.Helper()
	url := "https://tools.example.com/" + uuid.NewString()
	var ids []uuid.UUID
	for range 2 {
		tool, err := w.registry.Register(t.Context(), caller, registry.Change{Name: &name, GatewayURL: &url})
		require.NoError(t, err)
		ids = append(ids, tool.ID)
	}
	require.NoError(t, w.registry.Approve(t.Context(), admin, ids[0], registry.Decision{Unpinned: true}))
	_, err := w.storage.Upload(t.Context(), caller, storage.Upload{Filename: name + ".txt", Size: -1, Content: strings.NewReader("the words of " + name)})
	require.NoError(t, err)
	key := uuid.New()
	w.till.Close(t.Context(), &proxy.Call{
		ID: uuid.New(), Organization: caller.Organization, Account: caller.Account, Key: &key, ToolID: ids[0], Method: "echo", Outcome: proxy.Succeeded,
	})
	require.NoError(t, w.till.Flush(t.Context()))
	for _, sql := range []string{ // which the proxy's own packages write, over HTTP alone
		`INSERT INTO uaol_proxy.profiles (profile_id, organization_id, account_id, name, description, definition) VALUES (gen_random_uuid(), $1, $2, gen_random_uuid()::text, $3, '[]')`,
		`INSERT INTO uaol_proxy.keyed_calls (organization_id, account_id, key, digest, call_id, state, result, lease_until) VALUES ($1, $2, gen_random_uuid()::text, '', gen_random_uuid(), 'answered', $3, now())`,
	} {
		_, err = w.pool.Exec(t.Context(), sql, caller.Organization, caller.Account, "by "+name)
		require.NoError(t, err)
	}
	_, err = w.jobs.SaveWorkflow(t.Context(), caller, jobs.WorkflowRequest{Name: name, Description: "by " + name, Definition: json.RawMessage(fmt.Sprintf(
		`{"steps":[{"id":"a","tool_id":"%s","action":"echo","parameters":{"who":"%s"}}]}`, ids[0], name))})
	require.NoError(t, err)
	hourly := "@hourly"
	_, err = w.jobs.AddSchedule(t.Context(), caller, jobs.ScheduleChange{Cron: &hourly, Input: json.RawMessage(`{"who":"` + name + `"}`),
		Definition: json.RawMessage(fmt.Sprintf(`{"steps":[{"id":"a","tool_id":"%s","action":"echo"}]}`, ids[0]))})
	require.NoError(t, err)
	if caller.Personal { // a shared organisation has no credits of its own
		job, err := w.jobs.Create(t.Context(), caller, jobs.Request{Definition: json.RawMessage(fmt.Sprintf(
			`{"steps":[{"id":"a","tool_id":"%s","action":"echo","parameters":{"who":"%s"}}]}`, ids[0], name))})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			job, err = w.jobs.Get(t.Context(), caller, job.ID)
			require.NoError(t, err)
			return job.Status == jobs.Success
		}, eventually, tick)
	}
	return ids[0], ids[1]
}

// due makes every erasure's turn come now, as though so long had passed.
func (w *platform) due(t testing.TB, passed string) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), `UPDATE uaol_auth.erasures SET next_at = next_at - $1::interval, requested_at = requested_at - $1::interval`, passed)
	require.NoError(t, err)
}

// traces finds where in the database a text stands: "schema.table.column", in
// every column of every table of ours.
func (w *platform) traces(t testing.TB, text string) (found []string) {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `
		SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
		WHERE table_schema LIKE 'uaol\_%' AND table_name <> 'schema_migrations'`)
	require.NoError(t, err)
	type column struct{ Schema, Table, Column, Type string }
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	require.NoError(t, err)
	require.Greater(t, len(columns), 100)
	for _, c := range columns {
		value := pgx.Identifier{c.Column}.Sanitize() + "::text"
		if c.Type == "bytea" {
			value = "encode(" + pgx.Identifier{c.Column}.Sanitize() + ", 'escape')"
		}
		if w.count(t, `SELECT count(*) FROM `+pgx.Identifier{c.Schema, c.Table}.Sanitize()+` WHERE position(lower($1) IN lower(`+value+`)) > 0`, text) > 0 {
			found = append(found, c.Schema+"."+c.Table+"."+c.Column)
		}
	}
	return found
}

// idsStay are the tables of which docs/data.md says so.
func idsStay(t testing.TB) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/data.md")
	require.NoError(t, err)
	stay := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(uaol_[a-z]+\\.[a-z_]+)` \\|.*ids stay.*\\|$").FindAllStringSubmatch(string(text), -1) {
		stay[row[1]] = true
	}
	require.Len(t, stay, 12)
	return stay
}

// TestNothingIsLeft of a person who has deleted the account, in no column of no
// table but for the ids of which docs/data.md says that they stay.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	w := onPlatform(t)
	const name, email = "Ada Quillfeather", "quillfeather@example.com"
	ada, bob := w.made(t, email), w.made(t, "bob@example.com")
	id, home := ada.Account.ID, ada.Account.Organization
	alone := w.team(t, map[uuid.UUID]services.OrgRole{id: services.OrgOwner})
	shared := w.team(t, map[uuid.UUID]services.OrgRole{id: services.OrgOwner, bob.Account.ID: services.OrgOwner})

	// She does everything that leaves something behind.
	require.Equal(t, 200, w.do(t, "PUT", "/users/profile", `{"name":"`+name+`"}`, bearer(ada.Token)...).Status)
	require.Equal(t, 201, w.do(t, "POST", "/auth/keys", `{"name":"`+name+`"}`, bearer(ada.Token)...).Status)
	w.login(t, email, "wrong horse")
	browser := append(bearer(ada.Token), "User-Agent", name+"'s browser")
	require.Equal(t, 200, w.do(t, "POST", "/login", `{"email":"`+email+`","password":"correct horse"}`, "User-Agent", name+"'s browser").Status)
	require.Equal(t, 200, w.do(t, "DELETE", "/auth/sessions", "", browser...).Status)
	for _, what := range []purpose{verifyEmail, changeEmail, resetPassword} {
		require.NoError(t, w.repository.addLink(t.Context(), id, what, email, newSecret()))
	}
	for _, sql := range []string{
		`INSERT INTO uaol_auth.identities (identity_id, account_id, provider, issuer, subject, email, tokens) VALUES ($1, $1, 'google', 'https://issuer', $2, $2, $2::text::bytea)`,
		`INSERT INTO uaol_auth.provider_keys (organization_id, provider, sealed, masked, is_default) VALUES ($3, 'openai', $2::text::bytea, 'sk-', true), ($4, 'openai', $2::text::bytea, 'sk-', true)`,
		`INSERT INTO uaol_auth.invitations (invitation_id, organization_id, email, role, hash, invited_by, expires_at)
			VALUES (gen_random_uuid(), $5, $2, 'member', 'a', $6, now() + interval '1 day'),
				(gen_random_uuid(), $5, 'carl@example.com', 'member', 'b', $1, now() + interval '1 day'),
				(gen_random_uuid(), $4, 'carl@example.com', 'member', 'c', $1, now() + interval '1 day')`,
		`INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES (gen_random_uuid(), $4, 'service', 'robot of ' || $2)`,
		`INSERT INTO uaol_auth.group_roles (account_id, organization_id, role) VALUES ($1, $5, 'owner'), ($6, $4, 'owner')`,
		`INSERT INTO uaol_jobs.guests (account_id, workflows, calls) VALUES ($1, 1, 1)`,
		`INSERT INTO uaol_billing.accounts (organization_id, tier, available, held, grants) VALUES ($5, 'Free', 100, 0, 100)`,
		`INSERT INTO uaol_billing.caps (organization_id, scope, subject_id, period, period_start, amount, ceiling, spent) VALUES ($5, 'member', $1, 'day', now(), 9, 9, 0)`,
		`INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id) VALUES (gen_random_uuid(), $5, $1, $1)`,
		`INSERT INTO uaol_billing.holds (hold_id, organization_id, spender_id, owner, amount, state, expires_at)
			SELECT gen_random_uuid(), $5, spender_id, 'call', 1, 'closed', now() FROM uaol_billing.spenders WHERE account_id = $1`,
		`INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, spender_id, created_at)
			SELECT $5, 1000000, 'x', 'hold', 1, 1, spender_id, now() FROM uaol_billing.spenders WHERE account_id = $1`,
		`INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, end_time) VALUES (gen_random_uuid(), $5, $1, '{}', '[]', 'Success', 0, now())`,
		`INSERT INTO uaol_jobs.decisions (job_id, position, item, attempt, decision, account_id) VALUES (gen_random_uuid(), 0, 0, 1, 'skip', $1)`,
	} {
		// Every statement has all of the parameters, of which it uses some.
		_, err := w.pool.Exec(t.Context(), `WITH p AS (SELECT $1::uuid, $2::text, $3::uuid, $4::uuid, $5::uuid, $6::uuid) `+sql, id, email, home, alone, shared, bob.Account.ID)
		require.NoError(t, err, sql)
	}
	for _, organization := range []uuid.UUID{home, alone, shared} {
		w.lets(t, id, organization, name)
	}
	w.lets(t, bob.Account.ID, alone, "bob's program")
	mine := ada.Account.Caller()
	approved, pending := w.does(t, mine, name)
	_, err := w.meter.SetCap(t.Context(), mine, billing.CapID{Scope: billing.ScopeMember, Subject: id, Period: billing.PeriodDay}, 100)
	require.NoError(t, err)
	for _, organization := range []uuid.UUID{alone, shared} {
		acting := mine
		acting.Organization, acting.Personal = organization, false
		w.does(t, acting, "a tool of the team")
	}
	before := map[string]int{}
	for _, text := range []string{id.String(), home.String(), alone.String(), name, email} {
		for _, column := range w.traces(t, text) {
			before[column[:strings.LastIndex(column, ".")]]++
		}
	}
	for _, owned := range []string{"auth.accounts", "auth.organizations", "auth.members", "auth.invitations", "auth.api_keys", "auth.sessions", "auth.identities",
		"auth.oauth_grants", "auth.provider_keys", "auth.links", "auth.audit", "auth.group_roles", "registry.tools", "jobs.jobs", "jobs.steps", "jobs.guests", "jobs.workflows", "jobs.workflow_versions", "jobs.schedules",
		"billing.accounts", "billing.journal", "billing.spenders", "billing.caps", "storage.files", "auth.outbox", "registry.outbox", "jobs.outbox"} {
		require.Contains(t, before, "uaol_"+owned, "this test looks where something is")
	}

	got := w.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, browser...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 401, w.asks(t, bearer(ada.Token)...))
	require.Equal(t, 401, w.asks(t, "X-API-Key", ada.Key))
	_, status := w.login(t, email, "correct horse")
	require.Equal(t, 401, status)

	require.NoError(t, w.eraser.Round(t.Context()))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.erasures WHERE final`), "once more later")
	// A request that was under way leaves something after all.
	_, err = w.storage.Upload(t.Context(), mine, storage.Upload{Filename: name + ".txt", Size: -1, Content: strings.NewReader("late words of " + name)})
	require.NoError(t, err)
	require.NoError(t, w.eraser.Round(t.Context()), "not before its time")
	require.NotEmpty(t, w.traces(t, name))
	w.due(t, "1 hour")
	require.NoError(t, w.eraser.Round(t.Context()))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.erasures`))

	stay := idsStay(t)
	for _, text := range []string{id.String(), home.String(), alone.String()} {
		for _, column := range w.traces(t, text) {
			require.True(t, stay[column[:strings.LastIndex(column, ".")]], "%s is still in %s", text, column)
		}
	}
	for _, text := range []string{name, email, "Quillfeather"} {
		require.Empty(t, w.traces(t, text), text)
	}
	contents, err := os.ReadDir(w.files)
	require.NoError(t, err)
	require.Len(t, contents, 1, "the file of the team that goes on")
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE account_id = $1 AND (address <> '' OR user_agent <> '')`, id))
	require.NotZero(t, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE account_id = $1 AND action = 'account.delete' AND outcome = 'done'`, id))

	// What others need is there, and bob is as he was.
	tools, err := w.registry.Tools(t.Context(), registry.ToolsRequest{IDs: []uuid.UUID{approved, pending}})
	require.NoError(t, err)
	require.Len(t, tools, 1, "the one that was approved; jobs may name it")
	require.Equal(t, registry.Disabled, tools[0].Status)
	require.Empty(t, tools[0].GatewayURL)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_registry.tools WHERE organization_id = $1 AND status = 'Approved'`, shared))
	require.Equal(t, 200, w.asks(t, bearer(bob.Token)...))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.members WHERE organization_id = $1`, shared))
	balance, err := w.meter.Balance(t.Context(), billing.BalanceRequest{Caller: mine})
	require.NoError(t, err)
	require.Zero(t, balance.Available, "nobody spends what is left")
	_, err = w.service.Register(t.Context(), RegisterRequest{Email: email})
	require.NoError(t, err, "the address is free")
}

// flaky is a keeper that fails as often as it is told.
type flaky struct {
	services.Keeper
	mu    sync.Mutex
	fails int
	asked []services.Person
	done  func()
}

func (f *flaky) Erase(ctx context.Context, who services.Person) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, who)
	if f.fails > 0 {
		f.fails--
		return services.Errorf(services.Unavailable, "not now")
	}
	if f.done != nil {
		f.done()
	}
	return ctx.Err()
}

// withFlaky has keepers of the test's own.
func (b *bench) withFlaky() (all map[services.Name]*flaky, custodies []services.Custody) {
	all = map[services.Name]*flaky{}
	for _, name := range keepers {
		all[services.Name(name)] = &flaky{}
		custodies = append(custodies, services.Custody{Service: services.Name(name), Keeper: all[services.Name(name)]})
	}
	return all, custodies
}

// TestErasureSurvivesKills: whoever comes after a process that died goes on with
// what was left.
func TestErasureSurvivesKills(t *testing.T) {
	t.Parallel()
	w := &platform{bench: setup(t)}
	ada := w.made(t, "ada@example.com")
	require.NoError(t, w.profiles.profiles.Delete(t.Context(), ada.Account.Caller(), DeleteRequest{Password: "correct horse"}))
	left := func() string { return w.text(t, `SELECT array_to_string(services, ' ') FROM uaol_auth.erasures`) }
	require.Equal(t, "registry proxy jobs billing storage", left())

	// The first one dies when the first service has confirmed.
	all, custodies := w.withFlaky()
	ctx, kill := context.WithCancel(t.Context())
	all[services.Jobs].done = kill
	require.Error(t, NewEraser(w.repository, custodies, zap.NewNop()).Round(ctx))
	require.Equal(t, "jobs billing storage", left())

	again, custodies := w.withFlaky()
	second := NewEraser(w.repository, custodies, zap.NewNop())
	require.NoError(t, second.Round(t.Context()))
	require.Equal(t, "jobs billing storage", left(), "it may still be at work: its turn is over a little later")
	w.due(t, "10 seconds")
	again[services.Billing].fails = 2
	require.NoError(t, second.Round(t.Context()))
	require.Equal(t, "billing", left())
	require.Empty(t, again[services.Registry].asked, "it had confirmed")
	require.Equal(t, []services.Person{{Account: ada.Account.ID, Organizations: []uuid.UUID{ada.Account.Organization}}}, again[services.Storage].asked)
	w.due(t, "10 seconds")
	require.NoError(t, second.Round(t.Context()))
	require.Len(t, again[services.Billing].asked, 1, "pauses grow")
	w.due(t, "10 seconds")
	require.NoError(t, second.Round(t.Context()))
	require.Len(t, again[services.Billing].asked, 2)
	require.Equal(t, "billing", left())
	w.due(t, "1 minute")
	require.NoError(t, second.Round(t.Context()))
	require.Equal(t, "registry proxy jobs billing storage", left(), "the second round")
	require.NoError(t, second.Round(t.Context()))
	require.Len(t, again[services.Storage].asked, 1, "is an hour after the deletion")
	w.due(t, "1 hour")
	require.NoError(t, second.Round(t.Context()))
	require.Len(t, again[services.Storage].asked, 2)
	require.Len(t, again[services.Registry].asked, 1)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.erasures`))
}

// TestAnEarlierRoundConfirmsNothingOfTheNext: an eraser that was slow has erased
// before the hour was over.
func TestAnEarlierRoundConfirmsNothingOfTheNext(t *testing.T) {
	t.Parallel()
	w := &platform{bench: setup(t)}
	ada := w.made(t, "ada@example.com")
	require.NoError(t, w.profiles.profiles.Delete(t.Context(), ada.Account.Caller(), DeleteRequest{Password: "correct horse"}))
	slow, err := w.repository.dueErasures(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, slow, 1)
	for _, name := range keepers {
		require.NoError(t, w.repository.confirmErasure(t.Context(), slow[0], name))
	}
	require.NoError(t, w.repository.endErasure(t.Context(), ada.Account.ID))
	require.NoError(t, w.repository.confirmErasure(t.Context(), slow[0], keepers[0]))
	require.Equal(t, len(keepers), w.count(t, `SELECT cardinality(services) FROM uaol_auth.erasures WHERE final`))
}

// TestErasersShareTheWork: of several at once, one asks about an account.
func TestErasersShareTheWork(t *testing.T) {
	t.Parallel()
	w := &platform{bench: setup(t)}
	for i := range 8 {
		made := w.made(t, fmt.Sprintf("user%d@example.com", i))
		require.NoError(t, w.profiles.profiles.Delete(t.Context(), made.Account.Caller(), DeleteRequest{Password: "correct horse"}))
	}
	tx, err := w.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT account_id FROM uaol_auth.erasures FOR UPDATE`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	due, err := w.repository.dueErasures(ctx, 100)
	require.NoError(t, err, "what another one is about to take is not waited for")
	require.Empty(t, due)
	require.NoError(t, tx.Rollback(t.Context()))

	all, custodies := w.withFlaky()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := NewEraser(w.repository, custodies, zap.NewNop()).Round(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, all[services.Jobs].asked, 8)
}

// TestAMissingAddressIsSaidOnce, and the erasure waits.
func TestAMissingAddressIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := &platform{bench: setup(t)}
	for i := range 2 {
		made := w.made(t, fmt.Sprintf("user%d@example.com", i))
		require.NoError(t, w.profiles.profiles.Delete(t.Context(), made.Account.Caller(), DeleteRequest{Password: "correct horse"}))
	}
	_, custodies := w.withFlaky()
	custodies[0].Keeper, custodies[0].Missing = nil, errors.New("UAOL_REGISTRY_URL is not set")
	core, logs := observer.New(zap.WarnLevel)
	eraser := NewEraser(w.repository, custodies[:len(custodies)-1], zap.New(core)) // storage is not known at all
	for range 3 {
		require.NoError(t, eraser.Round(t.Context()))
		w.due(t, "1 hour")
	}
	require.Equal(t, 2, logs.Len())
	require.Contains(t, logs.All()[0].ContextMap()["error"], "UAOL_REGISTRY_URL")
	require.Equal(t, 2, w.count(t, `SELECT count(*) FROM uaol_auth.erasures WHERE services = ARRAY['registry', 'storage']`))
	require.Equal(t, 503, func() int {
		carl := w.made(t, "carl@example.com")
		w.writeWith(t, mail.Config{}, custodies...)
		w.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"})
		return w.do(t, "GET", "/users/export", "", bearer(carl.Token)...).Status
	}(), "an export is whole or none")
}

// admin is who decides about tools.
var admin = services.Caller{Account: uuid.New(), Role: services.RoleAdmin}
