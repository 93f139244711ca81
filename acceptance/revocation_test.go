package acceptance

import (
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// soonEnough is how long what was taken away may still open something, in any
// process.
const soonEnough = 5 * time.Second

// TestRevocationReachesEveryProcess: two processes have nothing in common but
// the database. What is taken away at one of them ends at the other in time.
// UAOL_TEST_TRIALS=200 tries each way so often, and measures what the database
// has to do while nobody asks.
func TestRevocationReachesEveryProcess(t *testing.T) {
	trials := trials(t, 20)
	w := world.Replicas(t, nil, 2)
	here, there := world.New(w.Replicas[0]), world.New(w.Replicas[1])
	for _, way := range []struct {
		name string
		// arrange gives what takes something away here, and what asks there
		// whether it is gone.
		arrange func(t *testing.T) (takeAway, gone func() bool)
	}{
		{"a revoked key", func(t *testing.T) (func() bool, func() bool) {
			somebody := register(t, here)
			made := somebody.Do(t, http.MethodPost, "/auth/keys", object{"name": "x"})
			require.Equal(t, http.StatusCreated, made.Status, made)
			return does(t, somebody, http.MethodDelete, "/auth/keys/"+made.Text("data.id"), nil),
				answers(t, there.As(made.Text("data.apiKey")), http.StatusUnauthorized, http.MethodGet, "/auth/me", nil)
		}},
		{"signing out", func(t *testing.T) (func() bool, func() bool) {
			somebody := register(t, here)
			return does(t, somebody, http.MethodPost, "/auth/logout", nil),
				answers(t, at(somebody, there), http.StatusUnauthorized, http.MethodGet, "/auth/me", nil)
		}},
		{"a changed password", func(t *testing.T) (func() bool, func() bool) {
			address := email()
			registered := here.Do(t, http.MethodPost, "/auth/register", object{"email": address, "password": "correct horse"})
			require.Equal(t, http.StatusCreated, registered.Status, registered)
			other := here.Do(t, http.MethodPost, "/auth/login", object{"email": address, "password": "correct horse"})
			return does(t, here.As(registered.Text("data.token")), http.MethodPut, "/users/password",
					object{"currentPassword": "correct horse", "newPassword": "another horse"}),
				answers(t, there.As(other.Text("data.token")), http.StatusUnauthorized, http.MethodGet, "/auth/me", nil)
		}},
		{"a changed role", func(t *testing.T) (func() bool, func() bool) {
			owner, address := register(t, here), email()
			organization := owner.Do(t, http.MethodPost, "/organizations", object{"name": "x"}).Text("data.id")
			invited := owner.Do(t, http.MethodPost, "/organizations/"+organization+"/invitations", object{"email": address, "role": "admin"})
			registered := here.Do(t, http.MethodPost, "/auth/register", object{"email": address, "invitation": invited.Text("data.invitation")})
			require.Equal(t, http.StatusCreated, registered.Status, registered)
			member := there.As(registered.Text("data.token")).With("X-Organization", organization)
			return does(t, owner, http.MethodPut, "/organizations/"+organization+"/members/"+registered.Text("data.user.id"), object{"role": "viewer"}),
				answers(t, member, http.StatusForbidden, http.MethodPost, "/jobs", object{})
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			worst := worstOf(t, trials, way.arrange)
			t.Logf("%s: gone everywhere after %s at most, %d trials", way.name, worst.Round(10*time.Millisecond), trials)
			require.Less(t, worst, soonEnough)
		})
	}
	if trials >= 200 {
		idle(t, w)
	}
}

// trials is UAOL_TEST_TRIALS, or as many as an ordinary run has time for.
func trials(t *testing.T, ordinary int) int {
	t.Helper()
	if text := os.Getenv("UAOL_TEST_TRIALS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	return ordinary
}

// worstOf runs trials side by side and gives the longest time from the answer
// to taking something away here to its end there.
func worstOf(t *testing.T, trials int, arrange func(t *testing.T) (takeAway, gone func() bool)) (worst time.Duration) {
	var mu sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, 16) // few enough that a machine of two cores answers them
	for range trials {
		places <- struct{}{}
		takeAway, gone := arrange(t)
		group.Go(func() {
			defer func() { <-places }()
			if gone() { // asked just before, so that its answer is as fresh as can be
				t.Error("it is gone before it was taken away")
				return
			}
			if !takeAway() {
				t.Error("it could not be taken away")
				return
			}
			begun := time.Now()
			ticker := time.NewTicker(25 * time.Millisecond)
			defer ticker.Stop()
			for !gone() && time.Since(begun) < 2*soonEnough {
				<-ticker.C
			}
			took := time.Since(begun)
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, took)
		})
	}
	group.Wait()
	return worst
}

// idle prints what the database does for the two processes while nobody asks.
func idle(t *testing.T, w *world.World) {
	connection, err := pgx.Connect(t.Context(), w.Database)
	require.NoError(t, err)
	defer func() { _ = connection.Close(t.Context()) }()
	transactions := func() (n int64) {
		require.NoError(t, connection.QueryRow(t.Context(), `
			SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`).Scan(&n))
		return n
	}
	const while = 30 * time.Second
	before := transactions()
	<-time.After(while)
	n := transactions() - before
	t.Logf("idle: %.1f transactions a second in all of the two processes, measured over %s", float64(n)/while.Seconds(), while)
}

func register(t *testing.T, client world.Client) world.Client {
	t.Helper()
	answer := client.Do(t, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	return client.As(answer.Text("data.token"))
}

// at is a client with the same credentials elsewhere.
func at(client, elsewhere world.Client) world.Client {
	client.Base = elsewhere.Base
	return client
}

// does tells whether a request was done.
func does(t *testing.T, client world.Client, method, path string, body any) func() bool {
	return func() bool {
		answer, err := client.Try(t, method, path, body)
		if err != nil || answer.Status != http.StatusOK {
			t.Errorf("%s %s: %s %v", method, path, answer, err)
		}
		return err == nil && answer.Status == http.StatusOK
	}
}

// answers tells whether a request gets a certain answer.
func answers(t *testing.T, client world.Client, status int, method, path string, body any) func() bool {
	return func() bool {
		answer, err := client.Try(t, method, path, body)
		return err == nil && answer.Status == status
	}
}
