package jobs

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/keyring"
)

// TestAHostIsToldOfSoManyAtOnce, whoever tells it: of few while nothing is known of
// it, of more as it answers, of one once it fails.
func TestAHostIsToldOfSoManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answers := make(chan int, 100)
	l := hears(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case status := <-answers:
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	})
	// Nothing looks by itself, so that what is under way is all that may be.
	c := b.callbacks(t, keyring.Config{})
	b.exec(t, `INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, end_time, callback_url)
		SELECT gen_random_uuid(), CASE n % 2 WHEN 0 THEN $1::uuid ELSE $2::uuid END, $1::uuid, '{}', '[]', 'Failed', 0, now(), $3 FROM generate_series(1, 100) n`, uuid.New(), uuid.New(), l.URL)
	b.exec(t, `INSERT INTO uaol_jobs.callbacks (job_id, lane, url, status)
		SELECT job_id, organization_id::text || '/' || substring(callback_url FROM '//([^/]*)'), callback_url, status FROM uaol_jobs.jobs`)
	under := func() int { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
	t.Cleanup(func() { l.CloseClientConnections(); c.going.Wait() })
	looks := func(want int) {
		t.Helper()
		for range 5 {
			_, err := c.look(t.Context(), t.Context())
			require.NoError(t, err)
		}
		for range want {
			receive(t, l.came)
		}
		require.Equal(t, want, under())
	}
	answered := func(n, status int) {
		t.Helper()
		left := under() - n
		for range n {
			answers <- status
		}
		eventually(t, func() bool { return under() == left })
	}
	looks(firstOfHost)
	answered(firstOfHost, http.StatusOK)
	looks(mostOfHost)
	answered(mostOfHost, http.StatusInternalServerError)
	looks(1)
	require.Equal(t, firstOfHost+mostOfHost+1, l.count())
}

// silent is a receiver that takes a request and says nothing.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestAnAnswerIsWaitedForTenSeconds, by the bubble's clock.
func TestAnAnswerIsWaitedForTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCallbacks(&Service{repository: &Repository{}}, (&bench{}).policyFor(t, ""), mustRing(t), events.NewBus(), zap.NewNop())
		c.client.Transport = silent{}
		begun := time.Now()
		status, err := c.post(t.Context(), &telling{URL: "https://example.com/", Lane: uuid.NewString() + "/example.com"}, []byte("{}"))
		require.Error(t, err)
		require.Equal(t, 10*time.Second, time.Since(begun))
		require.Equal(t, "no answer within 10s", failureOfCallback(status, err, c.answerIn))
		require.Less(t, c.answerIn+c.lease/6, c.lease, "told and written down before another tells it")
	})
}
