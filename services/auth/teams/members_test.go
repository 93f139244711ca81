package teams_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// lockMembers holds the rows of a team's members.
const lockMembers = `SELECT 1 FROM uaol_auth.members WHERE organization_id = $1 FOR UPDATE`

func (b *bench) owners(t testing.TB, made team) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE organization_id = $1 AND role = 'owner'`, made.ID)
}

// TestOneOwnerIsLeft: two owners demote each other, remove each other or leave at
// the same time. One of them succeeds.
func TestOneOwnerIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.person(t, "ada"), b.person(t, "bob")
	both := map[string]services.OrgRole{"ada": services.OrgOwner, "bob": services.OrgOwner}
	for name, test := range map[string]struct {
		method, body string
		adas, bobs   person // whom each of them acts on
	}{
		"demoting each other":    {"PUT", `{"role":"member"}`, bob, ada},
		"demoting themselves":    {"PUT", `{"role":"viewer"}`, ada, bob},
		"removing each other":    {"DELETE", "", bob, ada},
		"leaving":                {"DELETE", "", ada, bob},
		"one leaves, one is out": {"DELETE", "", bob, bob},
	} {
		t.Run(name, func(t *testing.T) {
			made := b.team(t, both)
			var statuses [2]int
			b.atOnce(t, lockMembers, []any{made.ID},
				func() {
					statuses[0] = b.do(t, ada.Token, test.method, made.path+"/members/"+test.adas.ID.String(), test.body).Status
				},
				func() {
					statuses[1] = b.do(t, bob.Token, test.method, made.path+"/members/"+test.bobs.ID.String(), test.body).Status
				})
			require.Equal(t, 1, b.owners(t, made), statuses)
			require.Contains(t, statuses, 200)
			require.NotContains(t, statuses, 500)
		})
	}
}

func TestLastOwnerStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.person(t, "ada"), b.person(t, "bob")
	made := b.team(t, map[string]services.OrgRole{"ada": services.OrgOwner, "bob": services.OrgAdmin})
	self := made.path + "/members/" + ada.ID.String()
	for _, test := range []struct{ method, body string }{{"PUT", `{"role":"admin"}`}, {"PUT", `{"role":"viewer"}`}, {"DELETE", ""}} {
		got := b.do(t, ada.Token, test.method, self, test.body)
		require.Equal(t, 409, got.Status, got.Text)
	}
	require.Equal(t, 200, b.do(t, ada.Token, "PUT", self, `{"role":"owner"}`).Status, "which changes nothing")
	b.must(t, ada.Token, "PUT", made.path+"/members/"+bob.ID.String(), `{"role":"owner"}`)
	b.must(t, ada.Token, "DELETE", self, "")
	require.Equal(t, 404, b.do(t, ada.Token, "GET", made.path, "").Status)
	require.Equal(t, 1, b.owners(t, made))
	for _, bad := range []string{`{"role":"boss"}`, `{"role":""}`, `{}`} {
		require.Equal(t, 400, b.do(t, bob.Token, "PUT", made.path+"/members/"+bob.ID.String(), bad).Status)
	}
}

// TestKeysEndWithMembership, with the tokens that were got with them and at
// once: answers that this process remembers count no more. They stay ended when
// the member comes back.
func TestKeysEndWithMembership(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, member := b.person(t, "owner"), b.person(t, "member")
	made, other := b.team(t, everybody), b.team(t, everybody)
	key, elsewhere := b.key(t, made, "member"), b.key(t, other, "member")
	token, err := b.auth.Login(t.Context(), key, "", "")
	require.NoError(t, err)
	for _, credential := range []string{key, token, member.Token} {
		b.must(t, credential, "GET", made.path, "")
	}
	b.must(t, elsewhere, "GET", other.path, "")

	b.must(t, owner.Token, "DELETE", made.path+"/members/"+member.ID.String(), "")
	require.Equal(t, 401, b.do(t, key, "GET", made.path, "").Status)
	require.Equal(t, 401, b.do(t, token, "GET", made.path, "").Status)
	require.Equal(t, 404, b.do(t, member.Token, "GET", made.path, "").Status)
	b.must(t, elsewhere, "GET", other.path, "")
	b.must(t, member.Key, "GET", "/organizations", "")

	b.exec(t, `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'member')`, made.ID, member.ID)
	require.Equal(t, 401, b.do(t, key, "GET", made.path, "").Status)
	require.Equal(t, 401, b.do(t, token, "GET", made.path, "").Status)
}

// TestRoleCountsAtOnce for credentials that this process remembers.
func TestRoleCountsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	admin := b.person(t, "admin")
	key := b.key(t, made, "admin")
	b.must(t, key, "GET", made.path+"/invitations", "")
	verified, _, err := b.authenticator.Authenticate(t.Context(), services.Credentials{Bearer: key})
	require.NoError(t, err)
	require.Equal(t, services.OrgAdmin, verified.OrgRole)
	b.must(t, b.person(t, "owner").Token, "PUT", made.path+"/members/"+admin.ID.String(), `{"role":"viewer"}`)
	require.Equal(t, 403, b.do(t, key, "GET", made.path+"/invitations", "").Status)
	verified, _, err = b.authenticator.Authenticate(t.Context(), services.Credentials{Bearer: key})
	require.NoError(t, err)
	require.Equal(t, services.OrgViewer, verified.OrgRole)
}

// TestTwentyOrganizations may be owned, however many are made at once.
func TestTwentyOrganizations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.person(t, "ada")
	for i := range 15 {
		b.must(t, ada.Token, "POST", "/organizations", fmt.Sprintf(`{"name":"Team %d"}`, i))
	}
	var made, refused atomic.Int64
	acts := make([]func(), 8)
	for i := range acts {
		acts[i] = func() {
			switch got := b.do(t, ada.Token, "POST", "/organizations", `{"name":"One more"}`); got.Status {
			case 201:
				made.Add(1)
			case 409:
				refused.Add(1)
			default:
				t.Error(got.Text)
			}
		}
	}
	b.atOnce(t, `SELECT 1 FROM uaol_auth.accounts WHERE account_id = $1 FOR UPDATE`, []any{ada.ID}, acts...)
	require.Equal(t, int64(5), made.Load())
	require.Equal(t, int64(3), refused.Load())
	require.Equal(t, 20, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE account_id = $1 AND role = 'owner'`, ada.ID))
	require.Equal(t, 20, b.count(t, `SELECT count(*) FROM uaol_auth.organizations WHERE NOT personal`), "none is left behind without an owner")
}

// TestEndOfAnOrganization: nothing of it is left, its keys are dead, and the
// other services are told to erase what they have of it.
func TestEndOfAnOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, other := b.team(t, everybody), b.team(t, everybody)
	b.addRobot(t, &made, "owner", "member")
	b.addRobot(t, &other, "owner", "member")
	key := b.key(t, made, "member")
	owner := b.person(t, "owner")
	secret := b.must(t, owner.Token, "POST", made.path+"/invitations", `{"email":"stranger@example.com"}`).Data.Invitation
	b.exec(t, `INSERT INTO uaol_auth.provider_keys (organization_id, provider, sealed, masked, is_default) VALUES ($1, 'openai', '', '', true)`, made.ID)
	b.must(t, made.robotKey, "GET", made.path, "")

	b.must(t, owner.Token, "DELETE", made.path, "")
	for _, credential := range []string{key, made.robotKey} {
		require.Equal(t, 401, b.do(t, credential, "GET", made.path, "").Status)
	}
	require.Equal(t, 404, b.do(t, owner.Token, "GET", made.path, "").Status)
	require.Equal(t, 404, b.do(t, owner.Token, "DELETE", made.path, "").Status)
	require.Equal(t, 400, b.do(t, b.person(t, "stranger").Token, "POST", "/invitations/accept", `{"invitation":"`+secret+`"}`).Status)
	for _, table := range []string{"organizations", "members", "invitations", "api_keys", "provider_keys", "accounts"} {
		require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.`+table+` WHERE organization_id = $1`, made.ID), table)
	}
	require.Equal(t, 1, b.count(t, `
		SELECT count(*) FROM uaol_auth.erasures WHERE account_id = $1 AND organizations = ARRAY[$1::uuid]
			AND services @> ARRAY['registry', 'jobs', 'billing', 'storage']`, made.ID))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'organization.deleted' AND organization_id = $1`, made.ID))
	b.must(t, other.robotKey, "GET", other.path, "")
	require.Len(t, b.must(t, owner.Token, "GET", other.path+"/members", "").Rows, len(everybody)+1)
}

// TestEndWhileOthersChange: nobody waits for each other for ever, and nothing of
// an ended organisation comes back.
func TestEndWhileOthersChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := b.person(t, "owner")
	for round := range 6 {
		made := b.team(t, everybody)
		name := fmt.Sprint("joins", round)
		joins := b.person(t, name)
		secret := b.must(t, owner.Token, "POST", made.path+"/invitations", `{"email":"`+joins.Email+`"}`).Data.Invitation
		var group sync.WaitGroup
		for _, act := range []struct{ token, method, path, body string }{
			{owner.Token, "DELETE", made.path, ""},
			{joins.Token, "POST", "/invitations/accept", `{"invitation":"` + secret + `"}`},
			{b.person(t, "admin").Token, "POST", made.path + "/service-accounts", `{"name":"R"}`},
			{b.person(t, "admin").Token, "DELETE", made.path + "/members/" + b.person(t, "victim").ID.String(), ""},
			{b.person(t, "other").Token, "POST", made.path + "/invitations", `{"email":"x@example.com"}`},
			{b.person(t, "member").Token, "DELETE", made.path + "/members/" + b.person(t, "member").ID.String(), ""},
		} {
			group.Go(func() {
				if got := b.do(t, act.token, act.method, act.path, act.body); got.Status >= 500 {
					t.Error(act.method, act.path, got.Text)
				}
			})
		}
		group.Wait()
		for _, table := range []string{"organizations", "members", "invitations", "accounts"} {
			require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.`+table+` WHERE organization_id = $1`, made.ID), table)
		}
	}
}

// TestEndWaitsForWhoJoins, who does not have to wait for the end: neither locks
// the other out.
func TestEndWaitsForWhoJoins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	owner, joins := b.person(t, "owner"), b.person(t, "joins")
	b.must(t, owner.Token, "POST", made.path+"/invitations", `{"email":"joins@example.com"}`)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	for _, sql := range []string{`SET LOCAL lock_timeout = '300ms'`, `DELETE FROM uaol_auth.invitations`} { // as registering does
		_, err = tx.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	ended := make(chan answer, 1)
	go func() { ended <- b.do(t, owner.Token, "DELETE", made.path, "") }()
	b.waiting(t, 1)
	_, err = tx.Exec(t.Context(), `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'member')`, made.ID, joins.ID)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, 200, (<-ended).Status)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE organization_id = $1`, made.ID))
}

// TestEndTakesANewKeyAlong that was not there yet when it looked.
func TestEndTakesANewKeyAlong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), `
		INSERT INTO uaol_auth.api_keys (key_id, account_id, organization_id, name, hash, prefix) VALUES (gen_random_uuid(), $1, $2, 'k', 'h', 'p')`,
		b.person(t, "member").ID, made.ID)
	require.NoError(t, err)
	ended := make(chan answer, 1)
	go func() { ended <- b.do(t, b.person(t, "owner").Token, "DELETE", made.path, "") }()
	b.waiting(t, 1)
	require.NoError(t, tx.Commit(t.Context()))
	got := <-ended
	require.Equal(t, 200, got.Status, got.Text)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys WHERE organization_id = $1`, made.ID))
}

// TestServiceAccount is a program of one organisation and nothing else.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.addRobot(t, &made, "admin", "viewer")
	admin := b.person(t, "admin")
	caller, _, err := b.authenticator.Authenticate(t.Context(), services.Credentials{APIKey: made.robotKey})
	require.NoError(t, err)
	require.Equal(t, made.ID, caller.Organization)
	require.Equal(t, services.OrgViewer, caller.OrgRole)
	require.False(t, caller.Personal)
	require.Zero(t, caller.Home)
	require.Equal(t, services.RoleUser, caller.Role)

	list := b.must(t, made.robotKey, "GET", "/organizations", "").Rows
	require.Len(t, list, 1)
	require.Equal(t, made.ID.String(), list[0].ID)
	require.False(t, list[0].Personal)
	accounts := b.must(t, admin.Token, "GET", made.path+"/service-accounts", "").Rows
	require.Len(t, accounts, 1)
	require.Equal(t, []string{made.robot, "Robot", "service", "viewer"}, []string{accounts[0].AccountID, accounts[0].Name, accounts[0].Kind, accounts[0].Role})

	member := made.path + "/members/" + made.robot
	b.must(t, admin.Token, "PUT", member, `{"role":"admin"}`)
	b.must(t, made.robotKey, "GET", made.path+"/invitations", "")
	require.Equal(t, 400, b.do(t, b.person(t, "owner").Token, "PUT", member, `{"role":"owner"}`).Status, "it owns nothing")
	require.Equal(t, 400, b.do(t, admin.Token, "POST", made.path+"/service-accounts", `{"name":"x","role":"owner"}`).Status)
	require.Equal(t, 400, b.do(t, admin.Token, "POST", made.path+"/service-accounts", `{"name":" "}`).Status)

	// Its keys, of which one is revoked.
	keys := made.path + "/service-accounts/" + made.robot + "/keys"
	second := b.must(t, admin.Token, "POST", keys, `{"name":"second","scopes":["organizations:read"],"expiresAt":"2999-01-01T00:00:00Z"}`).Data
	b.must(t, second.APIKey, "GET", made.path, "")
	require.Equal(t, 403, b.do(t, second.APIKey, "PUT", made.path, `{"name":"x"}`).Status)
	listed := b.must(t, admin.Token, "GET", keys, "")
	require.Len(t, listed.Rows, 2)
	require.NotContains(t, listed.Text, second.APIKey)
	require.Equal(t, 400, b.do(t, admin.Token, "POST", keys, `{"name":"old","expiresAt":"2001-01-01T00:00:00Z"}`).Status)
	b.must(t, admin.Token, "DELETE", keys+"/"+second.ID, "")
	require.Equal(t, 401, b.do(t, second.APIKey, "GET", made.path, "").Status)
	require.Equal(t, 404, b.do(t, admin.Token, "DELETE", keys+"/"+second.ID, "").Status)
	b.must(t, made.robotKey, "GET", made.path, "")

	// Another organisation's admins do not reach it.
	other := b.team(t, map[string]services.OrgRole{"stranger": services.OrgOwner})
	foreign := other.path + "/service-accounts/" + made.robot
	stranger := b.person(t, "stranger").Token
	require.Equal(t, 404, b.do(t, stranger, "GET", foreign+"/keys", "").Status)
	require.Equal(t, 404, b.do(t, stranger, "POST", foreign+"/keys", `{"name":"x"}`).Status)
	require.Equal(t, 404, b.do(t, stranger, "DELETE", foreign+"/keys/"+made.robotKeyID, "").Status)
	require.Equal(t, 404, b.do(t, stranger, "DELETE", foreign, "").Status)

	b.must(t, admin.Token, "DELETE", made.path+"/service-accounts/"+made.robot, "")
	require.Equal(t, 401, b.do(t, made.robotKey, "GET", made.path, "").Status)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE kind = 'service'`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys WHERE account_id = $1`, made.robot))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE account_id = $1`, made.robot))
}

// TestServiceAccountsAreBounded in number, also when they are made at once.
func TestServiceAccountsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.exec(t, `
		INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name)
		SELECT gen_random_uuid(), $1, 'service', 'R' FROM generate_series(1, 98)`, made.ID)
	owner := b.person(t, "owner").Token
	first := func() int {
		return b.do(t, owner, "POST", made.path+"/service-accounts", `{"name":"first"}`, "Idempotency-Key", "first").Status
	}
	require.Equal(t, 201, first())
	statuses := make([]int, 3)
	acts := make([]func(), len(statuses))
	for i := range acts {
		acts[i] = func() { statuses[i] = b.do(t, owner, "POST", made.path+"/service-accounts", `{"name":"R"}`).Status }
	}
	b.atOnce(t, `SELECT 1 FROM uaol_auth.organizations WHERE organization_id = $1 FOR UPDATE`, []any{made.ID}, acts...)
	require.ElementsMatch(t, []int{201, 409, 409}, statuses)
	require.Equal(t, 201, first(), "what there is already is no one more")
}

// TestHomeIsKept while somebody acts for a shared organisation.
func TestHomeIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	own, _, err := b.authenticator.Authenticate(t.Context(), services.Credentials{Bearer: b.person(t, "member").Token})
	require.NoError(t, err)
	acting, _, err := b.authenticator.Authenticate(t.Context(), services.Credentials{Bearer: b.person(t, "member").Token, Organization: made.ID.String()})
	require.NoError(t, err)
	require.Equal(t, made.ID, acting.Organization)
	require.Equal(t, own.Organization, own.Home)
	require.Equal(t, own.Home, acting.Home)
}

// TestActsAreRecorded for the organisation they are about, whatever the request
// was for otherwise, and only by who is in it.
func TestActsAreRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, victim, stranger := b.person(t, "owner"), b.person(t, "victim"), b.person(t, "stranger")
	id := b.must(t, owner.Token, "POST", "/organizations", `{"name":"Team"}`).Data.ID
	path := "/organizations/" + id
	invited := b.must(t, owner.Token, "POST", path+"/invitations", `{"email":"victim@example.com","role":"admin"}`).Data
	b.must(t, victim.Token, "POST", "/invitations/accept", `{"invitation":"`+invited.Invitation+`"}`)
	withdrawn := b.must(t, owner.Token, "POST", path+"/invitations", `{"email":"other@example.com"}`).Data.ID
	b.must(t, owner.Token, "DELETE", path+"/invitations/"+withdrawn, "")
	b.must(t, owner.Token, "PUT", path+"/members/"+victim.ID.String(), `{"role":"viewer"}`)
	require.Equal(t, 403, b.do(t, victim.Token, "DELETE", path, "").Status)
	b.must(t, owner.Token, "DELETE", path+"/members/"+victim.ID.String(), "")
	robot := b.must(t, owner.Token, "POST", path+"/service-accounts", `{"name":"R"}`).Data.AccountID
	key := b.must(t, owner.Token, "POST", path+"/service-accounts/"+robot+"/keys", `{"name":"k"}`).Data
	b.must(t, owner.Token, "DELETE", path+"/service-accounts/"+robot+"/keys/"+key.ID, "")
	b.must(t, owner.Token, "DELETE", path+"/service-accounts/"+robot, "")
	require.Equal(t, 404, b.do(t, stranger.Token, "DELETE", path, "").Status)

	log := b.must(t, owner.Token, "GET", path+"/audit", "")
	var acts []string
	for _, row := range log.Rows {
		acts = append([]string{row.Action + " " + row.Outcome}, acts...)
	}
	require.Equal(t, []string{
		"organization.create done", "invitation.create done", "invitation.accept done", "invitation.create done", "invitation.revoke done",
		"member.role done", "organization.delete refused", "member.remove done", "service-account.create done", "key.create done",
		"key.revoke done", "service-account.delete done",
	}, acts)
	last := len(log.Rows) - 1
	require.Equal(t, victim.ID.String(), log.Rows[last-2].Account, "who accepted")
	require.Equal(t, owner.ID.String(), log.Rows[last].Account)
	require.Equal(t, map[string]string{"organizationId": id, "accountId": victim.ID.String(), "role": "viewer"}, log.Rows[last-5].Details)
	for _, secret := range []string{invited.Invitation, key.APIKey, "@example.com"} {
		require.NotContains(t, log.Text, secret)
	}
	require.Equal(t, 12, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE organization_id = $1`, id))

	b.must(t, owner.Token, "DELETE", path, "")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE organization_id = $1 AND action = 'organization.delete' AND outcome = 'done'`, id))
}
