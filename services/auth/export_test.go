package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/mail"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// export is somebody's document, decoded.
func (b *bench) export(t testing.TB, headers ...string) (document map[string]any, text string) {
	t.Helper()
	got := b.do(t, "GET", "/users/export", "", headers...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, "application/json; charset=utf-8", got.Header.Get("Content-Type"))
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.NoError(t, json.Unmarshal([]byte(got.Text), &document))
	return document, got.Text
}

// TestExportHoldsEverything that is somebody's, and nothing else.
func TestExportHoldsEverything(t *testing.T) {
	t.Parallel()
	w := onPlatform(t)
	const name = "Ada Quillfeather"
	ada, bob := w.made(t, "ada@example.com"), w.made(t, "bob@example.com")
	id := ada.Account.ID
	shared := w.team(t, map[uuid.UUID]services.OrgRole{id: services.OrgMember, bob.Account.ID: services.OrgOwner})
	require.Equal(t, 200, w.do(t, "PUT", "/users/profile", `{"name":"`+name+`"}`, bearer(ada.Token)...).Status)
	_, secret, err := w.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "ci"})
	require.NoError(t, err)
	for _, sql := range []string{
		`INSERT INTO uaol_auth.identities (identity_id, account_id, provider, issuer, subject, email, tokens) VALUES ($1, $1, 'google', 'https://issuer', 'subject-of-hers', $2, 'sealed tokens')`,
		`INSERT INTO uaol_auth.provider_keys (organization_id, provider, sealed, masked, is_default) VALUES ($3, 'openai', 'sealed key', 'sk-12345...6789', true)`,
		`INSERT INTO uaol_auth.invitations (invitation_id, email, role, hash, invited_by, expires_at) VALUES (gen_random_uuid(), $2, 'member', 'a', $1, now() + interval '1 day')`,
	} {
		_, err := w.pool.Exec(t.Context(), `WITH p AS (SELECT $1::uuid, $2::text, $3::uuid) `+sql, id, "ada@example.com", ada.Account.Organization)
		require.NoError(t, err, sql)
	}
	w.lets(t, ada.Account.ID, shared, "a program of hers")
	w.lets(t, bob.Account.ID, shared, "bob's program")
	w.does(t, ada.Account.Caller(), name)
	w.does(t, bob.Account.Caller(), "a secret of bob's")
	inTeam := ada.Account.Caller()
	inTeam.Organization, inTeam.Personal = shared, false
	w.does(t, inTeam, "hers in the team")
	inTeam.Account = bob.Account.ID
	w.does(t, inTeam, "bob's in the team")

	document, text := w.export(t, bearer(ada.Token)...)
	counts := map[string]int{}
	for section, value := range document {
		if list, ok := value.([]any); ok {
			counts[section] = len(list)
		}
	}
	acts := counts["acts"]
	delete(counts, "acts")
	require.Equal(t, 2, acts)
	require.Equal(t, map[string]int{
		"memberships": 1, "keys": 2, "sessions": 2, "grants": 1, "identities": 1, "providerKeys": 1, "invitations": 1,
		"tools": 4, "jobs": 1, "workflows": 2, "schedules": 2, "credits": 1, "creditEntries": counts["creditEntries"], "files": 2, "calls": 2, "profiles": 2,
	}, counts)
	require.Greater(t, counts["creditEntries"], 2)
	account := document["account"].(map[string]any)
	require.Equal(t, name, account["name"])
	require.Equal(t, "ada@example.com", account["email"])
	require.Equal(t, true, account["hasPassword"])
	job := document["jobs"].([]any)[0].(map[string]any)
	require.Equal(t, name, job["steps"].([]any)[0].(map[string]any)["result"].(map[string]any)["who"])
	require.Contains(t, text, "subject-of-hers")
	require.Contains(t, text, "sk-12345...6789")
	require.Contains(t, text, "hers in the team")
	require.Contains(t, text, "a program of hers")
	for _, hidden := range []string{"bob's", "bob@example.com", ada.Key, secret, ada.Token, "argon2id", "sealed", bob.Account.ID.String()} {
		require.NotContains(t, text, hidden)
	}
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'account.export' AND outcome = 'done' AND account_id = $1`, id))
	require.Equal(t, 401, w.do(t, "GET", "/users/export", "").Status)
}

// pages is a keeper with so many parts, which may fail at one of them.
type pages struct {
	services.Keeper
	parts, failAt int
	asked         []string
}

func (p *pages) Export(_ context.Context, in services.ExportRequest) (services.Part, error) {
	p.asked = append(p.asked, in.After)
	n := len(p.asked)
	if n == p.failAt {
		return services.Part{}, services.Errorf(services.Unavailable, "The service cannot be reached; try again")
	}
	part := services.Part{Section: "things", Items: []json.RawMessage{json.RawMessage(fmt.Sprint(n)), json.RawMessage(`"x"`)}}
	if n < p.parts {
		part.Next = fmt.Sprint("after ", n)
	}
	return part, nil
}

func TestExportIsStreamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	many := make([]services.Act, actsPage+10)
	for i := range many {
		many[i] = services.Act{ID: newID(), Time: services.Now(), Action: "x", Account: ada.Account.ID, Outcome: services.Done, Details: map[string]string{}}
		require.NoError(t, b.repository.record(t.Context(), many[i]))
	}
	keeper := &pages{parts: 3}
	b.writeWith(t, mail.Config{}, services.Custody{Service: services.Storage, Keeper: keeper})
	b.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"})
	document, _ := b.export(t, bearer(ada.Token)...)
	require.Equal(t, []any{1.0, "x", 2.0, "x", 3.0, "x"}, document["things"])
	require.Equal(t, []string{"", "after 1", "after 2"}, keeper.asked)
	require.Len(t, document["acts"], len(many)+1, "all of them, and the export itself")
	seen := map[any]bool{}
	for _, act := range document["acts"].([]any) {
		seen[act.(map[string]any)["id"]] = true
	}
	require.Len(t, seen, len(many)+1)

	// What can't be had at first is refused; a cut half way is seen as one.
	keeper.asked, keeper.failAt = nil, 1
	got := b.do(t, "GET", "/users/export", "", bearer(ada.Token)...)
	require.Equal(t, 503, got.Status, got.Text)
	keeper.asked, keeper.failAt = nil, 2
	request := httptest.NewRequest("GET", "/users/export", nil)
	request.Header.Set("Authorization", "Bearer "+ada.Token)
	recorder := httptest.NewRecorder()
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { b.engine.ServeHTTP(recorder, request) })
	require.False(t, json.Valid(recorder.Body.Bytes()))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'account.export' AND outcome = 'attempted'`), "the log says that it was cut short")
}

func TestDocument(t *testing.T) {
	t.Parallel()
	raw := func(texts ...string) (all []json.RawMessage) {
		for _, text := range texts {
			all = append(all, json.RawMessage(text))
		}
		return all
	}
	var out bytes.Buffer
	d := newDocument(&out)
	require.NoError(t, d.member("a", 1))
	require.NoError(t, d.items("b", raw()))
	require.NoError(t, d.items("c", raw("1", "2")))
	require.NoError(t, d.items("c", raw("3")))
	require.NoError(t, d.member("d", "x"))
	require.NoError(t, d.items("e", raw("{}")))
	require.NoError(t, d.end())
	require.JSONEq(t, `{"a":1,"b":[],"c":[1,2,3],"d":"x","e":[{}]}`, out.String())
	require.Error(t, newDocument(failing{}).items("a", raw("1")))
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

// TestKeepersAreAskedInOrder, whatever order the container gives them in.
func TestKeepersAreAskedInOrder(t *testing.T) {
	t.Parallel()
	_, custodies := setup(t).withFlaky()
	slices.Reverse(custodies)
	var names []string
	for _, c := range NewExports(nil, nil, custodies).custodies {
		names = append(names, string(c.Service))
	}
	require.Equal(t, keepers, names)
}
