package teams_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/mail"
	"uaol/providers/mail/mailtest"
	"uaol/services"
	"uaol/services/auth"
)

func (b *bench) invite(t testing.TB, made team, by, email, role string) string {
	t.Helper()
	return b.must(t, b.person(t, by).Token, "POST", made.path+"/invitations", `{"email":"`+email+`","role":"`+role+`"}`).Data.Invitation
}

func (b *bench) accept(t testing.TB, name, secret string) answer {
	t.Helper()
	return b.do(t, b.person(t, name).Token, "POST", "/invitations/accept", `{"invitation":"`+secret+`"}`)
}

func (b *bench) role(t testing.TB, made team, name string) (role string) {
	t.Helper()
	_ = b.pool.QueryRow(t.Context(), `SELECT role FROM uaol_auth.members WHERE organization_id = $1 AND account_id = $2`, made.ID, b.person(t, name).ID).Scan(&role)
	return role
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	ada := b.person(t, "ada")
	answered := b.must(t, b.person(t, "admin").Token, "POST", made.path+"/invitations", `{"email":" Ada@Example.com ","expiresInDays":2}`)
	secret := answered.Data.Invitation
	require.Regexp(t, `^inv_[A-Z2-7]{32}$`, secret)
	require.Equal(t, "ada@example.com", answered.Data.Email)
	require.Equal(t, "member", answered.Data.Role)
	require.False(t, answered.Data.Mailed, "mail is not configured")
	require.Equal(t, 1, b.count(t, `
		SELECT count(*) FROM uaol_auth.invitations WHERE expires_at BETWEEN now() + interval '47 hours' AND now() + interval '49 hours'`))
	listed := b.must(t, b.person(t, "admin").Token, "GET", made.path+"/invitations", "")
	require.Len(t, listed.Rows, 1)
	require.NotContains(t, listed.Text, secret)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.invitations WHERE encode(hash, 'escape') LIKE '%inv_%'`))

	require.Equal(t, 404, b.do(t, ada.Token, "GET", made.path, "").Status)
	got := b.accept(t, "ada", secret)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, []string{made.ID.String(), "Team", "member"}, []string{got.Data.ID, got.Data.Name, got.Data.Role})
	b.must(t, ada.Token, "GET", made.path, "")
	require.Empty(t, b.must(t, b.person(t, "admin").Token, "GET", made.path+"/invitations", "").Rows)
	require.Equal(t, 409, b.do(t, b.person(t, "admin").Token, "POST", made.path+"/invitations", `{"email":"ada@example.com"}`).Status, "she is in it already")
	for _, bad := range []string{
		`{}`, `{"email":"ada"}`, `{"email":"a@b","role":"boss"}`, `{"email":"a@b.example","expiresInDays":91}`, `{"email":"a@b.example","expiresInDays":-1}`,
	} {
		require.Equal(t, 400, b.do(t, b.person(t, "admin").Token, "POST", made.path+"/invitations", bad).Status, bad)
	}
}

// TestInvitationThatDoesNotCount is refused in the same words, whatever is wrong
// with it.
func TestInvitationThatDoesNotCount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.exec(t, `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, b.person(t, "platform").ID)
	for name, spoil := range map[string]func(t *testing.T) string{
		"for another address": func(t *testing.T) string { return b.invite(t, made, "admin", "bob@example.com", "member") },
		"expired": func(t *testing.T) string {
			secret := b.invite(t, made, "admin", "ada@example.com", "member")
			b.exec(t, `UPDATE uaol_auth.invitations SET expires_at = now()`)
			return secret
		},
		"withdrawn": func(t *testing.T) string {
			made2 := b.must(t, b.person(t, "admin").Token, "POST", made.path+"/invitations", `{"email":"ada@example.com"}`).Data
			b.must(t, b.person(t, "owner").Token, "DELETE", made.path+"/invitations/"+made2.ID, "")
			return made2.Invitation
		},
		"unknown":            func(*testing.T) string { return "inv_" + strings.Repeat("A", 32) },
		"of a demoted admin": func(t *testing.T) string { return b.fallen(t, "PUT", `{"role":"member"}`) },
		"of a removed admin": func(t *testing.T) string { return b.fallen(t, "DELETE", "") },
		"to the platform only": func(t *testing.T) string {
			secret := b.must(t, b.person(t, "platform").Token, "POST", "/invitations", `{"email":"late@example.com"}`).Data.Invitation
			b.exec(t, `UPDATE uaol_auth.invitations SET email = 'ada@example.com' WHERE organization_id IS NULL`)
			return secret
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.accept(t, "ada", spoil(t))
			require.Equal(t, 400, got.Status, got.Text)
			require.Equal(t, "body.invitation: is not valid for your e-mail address, or no longer", got.Message)
			require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE account_id = $1`, b.person(t, "ada").ID))
		})
	}
	require.Equal(t, "", b.role(t, made, "bob"))
	require.Equal(t, 404, b.do(t, b.person(t, "admin").Token, "DELETE", made.path+"/invitations/"+made.ID.String(), "").Status)
}

// fallen is an invitation of an admin who is no admin any more.
func (b *bench) fallen(t *testing.T, method, body string) string {
	t.Helper()
	made := b.team(t, everybody)
	secret := b.invite(t, made, "admin", "ada@example.com", "admin")
	b.must(t, b.person(t, "owner").Token, method, made.path+"/members/"+b.person(t, "admin").ID.String(), body)
	return secret
}

// TestInvitationIsUsedOnce: of two uses at the same time one joins.
func TestInvitationIsUsedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.person(t, "ada")
	secret := b.invite(t, made, "owner", "ada@example.com", "admin")
	statuses := make([]int, 4)
	acts := make([]func(), len(statuses))
	for i := range acts {
		acts[i] = func() { statuses[i] = b.accept(t, "ada", secret).Status }
	}
	b.atOnce(t, `SELECT 1 FROM uaol_auth.invitations FOR UPDATE`, nil, acts...)
	require.ElementsMatch(t, []int{200, 400, 400, 400}, statuses)
	require.Equal(t, "admin", b.role(t, made, "ada"))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE account_id = $1`, b.person(t, "ada").ID))
}

// TestTwoInvitationsAtOnce: whoever has two of them joins as one says, and a
// member's role does not change by a third.
func TestTwoInvitationsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.person(t, "ada")
	secrets := []string{
		b.invite(t, made, "owner", "ada@example.com", "viewer"), b.invite(t, made, "owner", "ada@example.com", "viewer"),
		b.invite(t, made, "owner", "ada@example.com", "admin"),
	}
	var group sync.WaitGroup
	for _, secret := range secrets[:2] {
		group.Go(func() {
			if got := b.accept(t, "ada", secret); got.Status != 200 {
				t.Error(got.Text)
			}
		})
	}
	group.Wait()
	require.Equal(t, "viewer", b.role(t, made, "ada"))
	require.Equal(t, "viewer", b.accept(t, "ada", secrets[2]).Data.Role)
}

// TestRegisteringWithAnInvitation joins its organisation, also where nobody else
// may register.
func TestRegisteringWithAnInvitation(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *auth.Config, _ *mail.Config) { cfg.Registration = auth.ByInvitation })
	_, err := b.auth.Register(t.Context(), auth.RegisterRequest{Email: "nobody@example.com"})
	require.Equal(t, services.Forbidden, services.KindOf(err))

	key, err := b.auth.EnsureAdmin(t.Context(), "platform@example.com", "")
	require.NoError(t, err)
	platform, err := b.auth.Login(t.Context(), key, "", "")
	require.NoError(t, err)
	answered := b.must(t, platform, "POST", "/invitations", `{"email":"ada@example.com"}`)
	require.Empty(t, answered.Data.Role)
	made, err := b.auth.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Invitation: answered.Data.Invitation})
	require.NoError(t, err)
	b.people["ada"] = person{ID: made.Account.ID, Email: "ada@example.com", Token: made.Token}
	require.Len(t, b.must(t, made.Token, "GET", "/organizations", "").Rows, 1)

	shared := team{}
	shared.path = "/organizations/" + b.must(t, made.Token, "POST", "/organizations", `{"name":"Team"}`).Data.ID
	secret := b.invite(t, shared, "ada", "bob@example.com", "admin")
	joined, err := b.auth.Register(t.Context(), auth.RegisterRequest{Email: "bob@example.com", Invitation: secret})
	require.NoError(t, err)
	got := b.must(t, joined.Token, "GET", shared.path, "")
	require.Equal(t, "admin", got.Data.Role)
	_, err = b.auth.Register(t.Context(), auth.RegisterRequest{Email: "bob2@example.com", Invitation: secret})
	require.Equal(t, services.Invalid, services.KindOf(err))
}

// TestPlatformInvitations are the platform admins'.
func TestPlatformInvitations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.exec(t, `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, b.person(t, "platform").ID)
	platform, owner := b.person(t, "platform").Token, b.person(t, "owner").Token
	theirs := b.must(t, owner, "POST", made.path+"/invitations", `{"email":"x@example.com"}`).Data.ID
	id := b.must(t, platform, "POST", "/invitations", `{"email":"y@example.com"}`).Data.ID
	for _, test := range []struct {
		token, method, path, body string
		want                      int
	}{
		{owner, "GET", "/invitations", "", 403},
		{owner, "POST", "/invitations", `{"email":"z@example.com"}`, 403},
		{owner, "DELETE", "/invitations/" + id, "", 403},
		{owner, "DELETE", made.path + "/invitations/" + id, "", 404},
		{platform, "DELETE", "/invitations/" + theirs, "", 404},
		{platform, "POST", "/invitations", `{"email":"owner@example.com"}`, 409},
		{platform, "POST", "/invitations", `{"email":"nobody"}`, 400},
		{"", "GET", "/invitations", "", 401},
	} {
		require.Equal(t, test.want, b.do(t, test.token, test.method, test.path, test.body).Status, "%s %s", test.method, test.path)
	}
	listed := b.must(t, platform, "GET", "/invitations", "").Rows
	require.Len(t, listed, 1)
	require.Equal(t, id, listed[0].ID)
	b.must(t, platform, "DELETE", "/invitations/"+id, "")
	require.Empty(t, b.must(t, platform, "GET", "/invitations", "").Rows)
}

// TestInvitationIsMailed to its address, and only there.
func TestInvitationIsMailed(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mailtest.Options{})
	b := setup(t, func(_ *auth.Config, cfg *mail.Config) {
		*cfg = mail.Config{URL: server.URL(), From: "no-reply@example.com"}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var posting sync.WaitGroup
	posting.Go(func() { _ = b.post.Run(ctx) })
	t.Cleanup(func() { cancel(); posting.Wait() })
	made := b.team(t, everybody)
	got := b.must(t, b.person(t, "owner").Token, "POST", made.path+"/invitations", `{"email":"ada@example.com"}`)
	require.Equal(t, http.StatusCreated, got.Status)
	require.True(t, got.Data.Mailed)
	letter := server.Next(t)
	require.Equal(t, "ada@example.com", letter.To)
	sent := mailtest.Read(t, letter)
	require.Equal(t, "You are invited", sent.Subject)
	require.Contains(t, sent.Text, got.Data.Invitation)
	require.Contains(t, sent.Text, `"Team"`)
}

// TestInvitationsAreBounded in number.
func TestInvitationsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.team(t, everybody)
	b.exec(t, `
		INSERT INTO uaol_auth.invitations (invitation_id, organization_id, email, role, hash, invited_by, expires_at)
		SELECT gen_random_uuid(), $1, 'x', 'member', gen_random_uuid()::text::bytea, $2, now() + interval '1 day' FROM generate_series(1, 198)`,
		made.ID, b.person(t, "owner").ID)
	owner := b.person(t, "owner").Token
	first := func() answer {
		return b.do(t, owner, "POST", made.path+"/invitations", `{"email":"first@example.com"}`, "Idempotency-Key", "first")
	}
	require.Equal(t, 201, first().Status)
	var statuses [2]int
	b.atOnce(t, `SELECT 1 FROM uaol_auth.organizations WHERE organization_id = $1 FOR UPDATE`, []any{made.ID},
		func() {
			statuses[0] = b.do(t, owner, "POST", made.path+"/invitations", `{"email":"a@example.com"}`).Status
		},
		func() {
			statuses[1] = b.do(t, owner, "POST", made.path+"/invitations", `{"email":"b@example.com"}`).Status
		})
	require.ElementsMatch(t, []int{201, 409}, statuses[:])
	require.Contains(t, first().Text, services.ErrRepeated.Code, "what there is already is no one more")
	b.exec(t, `UPDATE uaol_auth.invitations SET expires_at = now() WHERE email = 'x'`)
	require.Equal(t, 201, b.do(t, owner, "POST", made.path+"/invitations", `{"email":"c@example.com"}`).Status)
}
