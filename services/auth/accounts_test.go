package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// platform is an admin of the platform.
func (b *bench) platform(t testing.TB, email string) Registered {
	t.Helper()
	made := b.made(t, email)
	b.admin(t, made.Account.ID)
	return made
}

// listing is one page of GET /accounts.
type listing struct {
	Data []AccountBody
	Next string `json:"nextCursor"`
}

func (b *bench) lists(t testing.TB, token, query string) (page listing) {
	t.Helper()
	got := b.do(t, "GET", "/accounts?"+query, "", bearer(token)...)
	require.Equal(t, http.StatusOK, got.Status, got.Text)
	require.NotContains(t, strings.ToLower(got.Text), "argon2id", "no hash of a password")
	require.NoError(t, json.Unmarshal([]byte(got.Text), &page))
	return page
}

// names are what accounts of a page are known by, in its order.
func (l listing) names() (all []string) {
	for _, a := range l.Data {
		switch {
		case a.Email != nil:
			all = append(all, *a.Email)
		case a.Name != nil:
			all = append(all, *a.Name)
		default:
			all = append(all, string(a.Kind))
		}
	}
	return all
}

// crowd is an admin, some people, a service account and two guests, each a second younger
// than the one before.
func crowd(t testing.TB, b *bench) Registered {
	t.Helper()
	root := b.platform(t, "root@example.com")
	b.made(t, "ada@example.com")
	b.made(t, "Adam_west@example.com")
	b.made(t, "bob@example.org")
	team := b.team(t, nil)
	b.execute(t, `INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES ($1, $2, 'service', 'Builder')`, newID(), team)
	for _, session := range []string{"one", "two"} {
		_, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: session})
		require.NoError(t, err)
	}
	b.execute(t, `UPDATE uaol_auth.accounts SET name = 'Zoë Adamson', email_verified_at = now() WHERE email = 'bob@example.org'`)
	b.execute(t, `
		UPDATE uaol_auth.accounts a SET created_at = timestamptz '2026-01-01' + n.n * interval '1 second'
		FROM (SELECT account_id, row_number() OVER (ORDER BY created_at, account_id) AS n FROM uaol_auth.accounts) n WHERE n.account_id = a.account_id`)
	return root
}

func TestAccountsAreListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := crowd(t, b)
	all := []string{"Builder", "bob@example.org", "adam_west@example.com", "ada@example.com", "root@example.com"}
	for query, want := range map[string][]string{
		"":                          all,
		"kind=user":                 all[1:],
		"kind=service":              all[:1],
		"kind=guest":                {"guest", "guest"},
		"q=ad":                      {"adam_west@example.com", "ada@example.com"},
		"q=ADA":                     {"adam_west@example.com", "ada@example.com"},
		"q=adam_":                   {"adam_west@example.com"}, // no pattern
		"q=ad%25":                   nil,
		"q=zo%C3%AB+ad":             {"bob@example.org"},
		"q=+build+":                 {"Builder"},
		"q=build&kind=user":         nil,
		"q=example":                 nil, // no beginning
		"q=two&kind=guest":          nil, // what its client calls its session is the guest's secret
		"q=bob%40example.org":       {"bob@example.org"},
		"q=" + url.QueryEscape("'"): nil,
	} {
		require.Equal(t, want, b.lists(t, root.Token, query).names(), query)
	}
	for _, query := range []string{"", "q=", "q=ad"} {
		var names []string
		for next, more := "", true; more; more = next != "" {
			page := b.lists(t, root.Token, query+"&limit=1&cursor="+next)
			require.Len(t, page.Data, 1)
			names, next = append(names, page.names()...), page.Next
		}
		require.Equal(t, b.lists(t, root.Token, query).names(), names, "page by page: %q", query)
	}
	bob := b.lists(t, root.Token, "q=bob").Data[0]
	require.Equal(t, User, bob.Kind)
	require.Equal(t, "Zoë Adamson", *bob.Name)
	require.True(t, bob.EmailVerified)
	require.False(t, bob.Admin)
	require.NotEqual(t, uuid.Nil, bob.Organization)
	require.True(t, b.lists(t, root.Token, "q=root").Data[0].Admin)
	require.Equal(t, http.StatusBadRequest, b.do(t, "GET", "/accounts?kind=robot", "", bearer(root.Token)...).Status)
}

// TestAccountsAreFoundByTheirIndexes and not by looking at all of them.
func TestAccountsAreFoundByTheirIndexes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := crowd(t, b)
	b.execute(t, `
		INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, email, name, created_at)
		SELECT gen_random_uuid(), $1, 'user', 'x' || n || '@example.com', CASE WHEN n % 10 = 0 THEN 'X ' || n END, timestamptz '2026-02-01' + n * interval '1 second'
		FROM generate_series(1, 20000) n`, root.Account.Organization)
	b.execute(t, `ANALYZE uaol_auth.accounts`)
	plans := pgtest.Explain(t, b.pool, "uaol_auth", "accounts")
	r := NewRepository(plans.Pool)
	for _, f := range []AccountFilter{{}, {Kind: Guest}, {Kind: User}, {Beginning: "x777"}, {Beginning: "X 777"}} {
		list := r.accounts
		if f.Beginning != "" {
			list = r.accountsBeginning
		}
		for range 10 { // the database makes a plan for any parameters after some
			found, err := list(t.Context(), f, time.Now(), uuid.Max, 51)
			require.NoError(t, err)
			require.NotEmpty(t, found)
		}
	}
	require.GreaterOrEqual(t, plans.Seen(), 2)
}

func TestWhoMaySeeAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.platform(t, "root@example.com")
	ada := b.made(t, "ada@example.com")
	team := b.team(t, map[uuid.UUID]services.OrgRole{root.Account.ID: services.OrgOwner})
	key := func(body string, headers ...string) []string {
		got := b.do(t, "POST", "/auth/keys", body, append(headers, bearer(root.Token)...)...)
		require.Equal(t, http.StatusCreated, got.Status, got.Text)
		var made struct{ Data struct{ APIKey string } }
		require.NoError(t, json.Unmarshal([]byte(got.Text), &made))
		require.NotEmpty(t, made.Data.APIKey)
		return []string{"X-API-Key", made.Data.APIKey}
	}
	for name, c := range map[string]struct {
		headers []string
		read    int
		write   int
	}{
		"nobody":                       {nil, http.StatusUnauthorized, http.StatusUnauthorized},
		"a guest":                      {[]string{"X-Guest-Id", "mine"}, http.StatusUnauthorized, http.StatusUnauthorized},
		"a person":                     {bearer(ada.Token), http.StatusForbidden, http.StatusForbidden},
		"an admin":                     {bearer(root.Token), http.StatusOK, http.StatusOK},
		"an admin's key":               {[]string{"X-API-Key", root.Key}, http.StatusOK, http.StatusOK},
		"an admin's key that reads":    {key(`{"name":"reads","scopes":["accounts:read"]}`), http.StatusOK, http.StatusForbidden},
		"an admin's key for jobs":      {key(`{"name":"jobs","scopes":["jobs:read","jobs:write"]}`), http.StatusForbidden, http.StatusForbidden},
		"an admin's key of a team":     {key(`{"name":"team"}`, "X-Organization", team.String()), http.StatusForbidden, http.StatusForbidden},
		"an admin who acts for a team": {append(bearer(root.Token), "X-Organization", team.String()), http.StatusOK, http.StatusOK},
	} {
		at := "/accounts/" + ada.Account.ID.String()
		require.Equal(t, c.read, b.do(t, "GET", "/accounts", "", c.headers...).Status, name)
		require.Equal(t, c.read, b.do(t, "GET", at, "", c.headers...).Status, name)
		require.Equal(t, c.write, b.do(t, "PUT", at, `{"admin":false}`, c.headers...).Status, name)
	}
}

func TestAnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := crowd(t, b)
	look := func(id uuid.UUID) (status int, body wholeAccountBody) {
		got := b.do(t, "GET", "/accounts/"+id.String(), "", bearer(root.Token)...)
		require.NoError(t, json.Unmarshal([]byte(got.Text), &struct{ Data *wholeAccountBody }{&body}))
		return got.Status, body
	}
	for _, kind := range []string{"user", "service", "guest"} {
		for _, listed := range b.lists(t, root.Token, "kind="+kind).Data {
			status, body := look(listed.ID)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, listed, body.AccountBody)
			if kind == "user" {
				require.Equal(t, "10000", body.Credits)
				require.EqualValues(t, "Free", body.Tier)
			} else {
				require.Empty(t, body.Credits)
				require.Empty(t, body.Tier)
			}
		}
	}
	guest := b.lists(t, root.Token, "kind=guest").Data[0]
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_billing.accounts WHERE organization_id = $1`, guest.Organization), "looking gives no credits")
	status, _ := look(newID())
	require.Equal(t, http.StatusNotFound, status)
}

func (b *bench) makes(t testing.TB, by Registered, of uuid.UUID, admin bool) int {
	t.Helper()
	return b.do(t, "PUT", "/accounts/"+of.String(), fmt.Sprintf(`{"admin":%t}`, admin), bearer(by.Token)...).Status
}

func TestAdminsMakeAdmins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root, ada := b.platform(t, "root@example.com"), b.made(t, "ada@example.com")
	may := func() int { return b.do(t, "GET", "/audit", "", bearer(ada.Token)...).Status }
	changes := func() int {
		return b.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = $1 AND subject = $2`, accessChangedType, ada.Account.ID.String())
	}
	require.Equal(t, http.StatusForbidden, may())
	require.Equal(t, http.StatusOK, b.makes(t, root, ada.Account.ID, true))
	require.Equal(t, http.StatusOK, may(), "at once: what was known of her counts no more")
	require.Equal(t, 1, changes())
	require.Equal(t, http.StatusOK, b.makes(t, root, ada.Account.ID, true))
	require.Equal(t, 1, changes(), "nothing has changed")
	require.Equal(t, http.StatusConflict, b.makes(t, ada, ada.Account.ID, false), "not oneself")
	require.Equal(t, http.StatusOK, b.makes(t, root, ada.Account.ID, false))
	require.Equal(t, http.StatusForbidden, may())
	require.Equal(t, 2, changes())
	require.Equal(t, http.StatusNotFound, b.makes(t, root, newID(), true))
	require.Equal(t, http.StatusBadRequest, b.do(t, "PUT", "/accounts/"+ada.Account.ID.String(), `{}`, bearer(root.Token)...).Status)

	for _, admin := range []string{"true", "false"} {
		require.Positive(t, b.count(t, `
			SELECT count(*) FROM uaol_auth.audit WHERE action = 'account.admin' AND outcome = 'done' AND account_id = $1
				AND details = jsonb_build_object('accountId', $2::text, 'admin', $3::text)`, root.Account.ID, ada.Account.ID.String(), admin), admin)
	}
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'account.admin' AND outcome = 'refused' AND account_id = $1`, ada.Account.ID))
}

func TestOnlyPeopleAreAdmins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := crowd(t, b)
	for _, kind := range []string{"service", "guest"} {
		for _, listed := range b.lists(t, root.Token, "kind="+kind).Data {
			require.Equal(t, http.StatusConflict, b.makes(t, root, listed.ID, true), kind)
		}
	}
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
}

// TestAnAdminIsAlwaysLeft, whatever two do to each other at the same moment.
func TestAnAdminIsAlwaysLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for round := range 10 {
		ada, bob := b.platform(t, fmt.Sprintf("ada%d@example.com", round)), b.platform(t, fmt.Sprintf("bob%d@example.com", round))
		var both sync.WaitGroup
		both.Go(func() { b.makes(t, ada, bob.Account.ID, false) })
		both.Go(func() { b.makes(t, bob, ada.Account.ID, false) })
		both.Wait()
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin AND account_id IN ($1, $2)`, ada.Account.ID, bob.Account.ID))
	}
}

// TestGroupsDoNotTakeBackWhatAnAdminGave: whoever an admin has decided about is no longer
// an admin by their groups.
func TestGroupsDoNotTakeBackWhatAnAdminGave(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root, ada := b.platform(t, "root@example.com"), b.platform(t, "ada@example.com")
	b.execute(t, `INSERT INTO uaol_auth.group_roles (account_id, organization_id, role) VALUES ($1, $2, 'admin')`, ada.Account.ID, uuid.Nil)
	require.Equal(t, http.StatusOK, b.makes(t, root, ada.Account.ID, false))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.group_roles`))
	require.Equal(t, http.StatusOK, b.makes(t, root, ada.Account.ID, true))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.group_roles`), "no group gave this")
}
