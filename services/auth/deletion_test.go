package auth

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

const (
	eventually = 20 * time.Second
	tick       = 5 * time.Millisecond
)

// admin makes somebody a platform admin.
func (b *bench) admin(t testing.TB, account uuid.UUID) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, account)
	require.NoError(t, err)
}

func (b *bench) there(t testing.TB, account uuid.UUID) bool {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE account_id = $1`, account) == 1
}

func TestDeletionNeedsProof(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	plain, err := b.service.Register(t.Context(), RegisterRequest{Email: "plain@example.com"})
	require.NoError(t, err)
	stale, err := b.service.Register(t.Context(), RegisterRequest{Email: "stale@example.com"})
	require.NoError(t, err)
	b.age(t, stale.Account.ID)
	for _, test := range []struct {
		who    Registered
		body   string
		status int
	}{
		{ada, `{}`, 400},
		{ada, `{"password":"wrong horse"}`, 400},
		{ada, `{"confirm":"ada@example.com"}`, 400},
		{plain, `{}`, 400},
		{plain, `{"confirm":"ada@example.com"}`, 400},
		{stale, `{"confirm":"stale@example.com"}`, 403},
	} {
		got := b.do(t, "DELETE", "/users/account", test.body, bearer(test.who.Token)...)
		require.Equal(t, test.status, got.Status, "%s: %s", test.body, got.Text)
		require.True(t, b.there(t, test.who.Account.ID))
	}
	require.Equal(t, 401, b.do(t, "DELETE", "/users/account", `{}`, "X-Guest-Id", "g").Status)
	require.Equal(t, 200, b.do(t, "DELETE", "/auth/users/account", `{"confirm":" Plain@example.com"}`, bearer(plain.Token)...).Status)
	require.Equal(t, 200, b.do(t, "DELETE", "/users/account", `{"confirm":"stale@example.com"}`, "X-API-Key", stale.Key).Status)
	require.Equal(t, 200, b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(ada.Token)...).Status)
	require.Equal(t, 3, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'account.delete' AND outcome = 'done'`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
}

// TestTheLastAdminStays also when all of them leave at once.
func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var admins []Registered
	for i := range 5 {
		admins = append(admins, b.made(t, fmt.Sprintf("admin%d@example.com", i)))
		b.admin(t, admins[i].Account.ID)
	}
	var group sync.WaitGroup
	errs := make([]error, len(admins))
	for i, a := range admins {
		group.Go(func() { _, errs[i] = b.repository.deleteUser(context.Background(), a.Account.ID) })
	}
	group.Wait()
	refused := 0
	for i, err := range errs {
		if err != nil {
			refused++
			require.True(t, services.Is(err, services.Conflict), "%v", err)
			got := b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(admins[i].Token)...)
			require.Equal(t, http.StatusConflict, got.Status, got.Text)
			require.Contains(t, got.Body.Error.Message, "last platform admin")
		}
	}
	require.Equal(t, 1, refused)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
}

// TestNobodyIsLeftWithoutAnOwner.
func TestNobodyIsLeftWithoutAnOwner(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	a, o := ada.Account.ID, bob.Account.ID
	team := b.team(t, map[uuid.UUID]services.OrgRole{a: services.OrgOwner, o: services.OrgAdmin})
	robot := b.team(t, map[uuid.UUID]services.OrgRole{a: services.OrgOwner})
	id := uuid.New()
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES ($1, $2, 'service', 'robot')`, id, robot)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'owner')`, robot, id)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.api_keys (key_id, account_id, organization_id, name, hash, prefix) VALUES ($1, $1, $2, 'k', 'h', 'p')`, id, robot)
	require.NoError(t, err)

	got := b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(ada.Token)...)
	require.Equal(t, http.StatusConflict, got.Status, got.Text)
	require.JSONEq(t, `{"organizations":["`+team.String()+`"]}`, string(got.Body.Error.Details))

	require.Equal(t, 200, b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(bob.Token)...).Status, "who owns nothing may leave")
	require.Equal(t, 200, b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(ada.Token)...).Status)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`), "what nobody is in has ended")
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`), "with its programs")
	require.Equal(t, 3, b.count(t, `SELECT cardinality(organizations) FROM uaol_auth.erasures WHERE account_id = $1`, a))
}

// TestOwnersWhoLeaveAtOnce leave nobody behind: all but one may go while there
// are members.
func TestOwnersWhoLeaveAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for round := range 5 {
		member := b.made(t, fmt.Sprintf("member%d@example.com", round))
		members := map[uuid.UUID]services.OrgRole{member.Account.ID: services.OrgMember}
		var owners []uuid.UUID
		for i := range 3 {
			owner := b.made(t, fmt.Sprintf("owner%d-%d@example.com", round, i))
			owners = append(owners, owner.Account.ID)
			members[owner.Account.ID] = services.OrgOwner
		}
		team := b.team(t, members)
		var group sync.WaitGroup
		for _, id := range owners {
			group.Go(func() { _, _ = b.repository.deleteUser(context.Background(), id) })
		}
		group.Wait()
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE organization_id = $1 AND role = 'owner'`, team))
	}
}

// waiting lets something of the test's wait for a lock.
func (b *bench) waiting(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	}, eventually, tick)
}

// TestSomebodyJoinsAtTheLastMoment, before the organisation ends with the only
// one who was in it: then that one is the only owner, and stays.
func TestSomebodyJoinsAtTheLastMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	team := b.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgOwner})
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'member')`, team, bob.Account.ID)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { _, err := b.repository.deleteUser(context.Background(), ada.Account.ID); done <- err }()
	b.waiting(t)
	require.NoError(t, tx.Commit(t.Context()))
	require.True(t, services.Is(<-done, services.Conflict))
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.members WHERE organization_id = $1`, team))
}

// TestDeletedTwiceAtOnce is deleted once.
func TestDeletedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() {
			errs[i] = b.profiles.profiles.Delete(context.Background(), ada.Account.Caller(), DeleteRequest{Password: "correct horse"})
		})
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			require.True(t, services.Is(err, services.Unauthenticated), "%v", err)
		}
	}
	require.Equal(t, 1, done)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'user.deleted'`))
}

// TestGuestsEnd when their time is over, and not before.
func TestGuestsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keeper := NewHousekeeper(Config{AuditDays: 1}, b.repository)
	var guests []Verified
	for range guestBatch + 5 {
		guest, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true})
		require.NoError(t, err)
		guests = append(guests, guest)
	}
	require.NoError(t, keeper.Sweep(t.Context()))
	require.Equal(t, len(guests), b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	young, registered := guests[0], guests[1]
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() WHERE account_id <> $1`, young.Caller.Account)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() + interval '1 hour' WHERE account_id = $1`, registered.Caller.Account)
	require.NoError(t, err)
	user, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com", GuestID: registered.GuestID})
	require.NoError(t, err)
	require.Equal(t, registered.Caller.Account, user.Account.ID)

	require.NoError(t, keeper.Sweep(t.Context()))
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	require.True(t, b.there(t, young.Caller.Account))
	require.True(t, b.there(t, user.Account.ID))
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`))
	require.Equal(t, len(guests)-2, b.count(t, `SELECT count(*) FROM uaol_auth.erasures WHERE guest AND cardinality(organizations) = 1`))
}

// TestAGuestWhoRegistersAtTheLastMoment is not swept away, whichever of the two
// comes first.
func TestAGuestWhoRegistersAtTheLastMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	guest, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true})
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() - interval '1 second'`)
	require.NoError(t, err)
	// A registration that began before its time was over has the row while the
	// sweep looks at it.
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() + interval '1 second'`)
	require.NoError(t, err)
	_, err = b.repository.addUser(t.Context(), tx, registration{ID: newID(), Email: "ada@example.com", GuestID: guest.GuestID})
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() - interval '1 hour'`)
	require.NoError(t, err) // worse than it can be: a user has no such time
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ended, err := b.repository.endGuests(ctx, 10)
	require.NoError(t, err, "it does not wait")
	require.Zero(t, ended)
	require.NoError(t, tx.Commit(t.Context()))
	ended, err = b.repository.endGuests(t.Context(), 10)
	require.NoError(t, err)
	require.Zero(t, ended)
	require.True(t, b.there(t, guest.Caller.Account))
}

// TestGuestsAreSweptByManyAtOnce, each once.
func TestGuestsAreSweptByManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 60 {
		_, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true})
		require.NoError(t, err)
	}
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() - interval '1 second'`)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for {
				ended, err := b.repository.endGuests(context.Background(), 10)
				if err != nil {
					t.Error(err)
				}
				if ended == 0 || err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	require.Equal(t, 60, b.count(t, `SELECT count(*) FROM uaol_auth.erasures`))
}

func TestDeletionIsSaidByMail(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	ada := b.made(t, "ada@example.com")
	next(t, server)
	require.Equal(t, 200, b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(ada.Token)...).Status)
	to, subject, _ := next(t, server)
	require.Equal(t, "ada@example.com", to)
	require.Equal(t, "Your account has been deleted", subject)
}
