package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/limits"
	"uaol/providers/limits/redistest"
	"uaol/services"
)

// knower is a Verifier that knows one account and counts how often it is asked.
type knower struct {
	caller services.Caller
	asked  atomic.Int64
}

func (y *knower) Verify(context.Context, VerifyRequest) (Verified, error) {
	y.asked.Add(1)
	return Verified{Caller: y.caller}, nil
}

// process is one that authenticates and hears of revocations.
type process struct {
	verifier *knower
	auth     *Authenticator
	bus      *events.Bus
	told     *Revocations
}

func newProcess(t *testing.T, cfg limits.Config, caller services.Caller) *process {
	t.Helper()
	p := &process{verifier: &knower{caller: caller}, bus: events.NewBus()}
	p.auth = NewAuthenticator(p.verifier, p.bus)
	var err error
	p.told, err = NewRevocations(cfg, zap.NewNop())
	require.NoError(t, err)
	p.told.Follow(p.bus)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.told.Publish(ctx) })
	running.Go(func() { _ = p.told.Listen(ctx, p.auth.Forget) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		p.auth.Close()
		_ = p.told.Close()
	})
	return p
}

// fresh reports whether the process asks anew about a credential that it knew.
func (p *process) fresh(t *testing.T) bool {
	t.Helper()
	before := p.verifier.asked.Load()
	_, _, err := p.auth.Authenticate(t.Context(), services.Credentials{APIKey: "a key"})
	require.NoError(t, err)
	return p.verifier.asked.Load() > before
}

// listening waits until both processes hear the channel.
func listening(t *testing.T, client redis.UniversalClient, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		heard, err := client.PubSubNumSub(t.Context(), revocations).Result()
		return err == nil && heard[revocations] >= n
	}, 30*time.Second, 10*time.Millisecond)
}

// TestOtherProcessesHearOfARevocation at once, with one Redis and with a cluster.
func TestOtherProcessesHearOfARevocation(t *testing.T) {
	t.Parallel()
	for name, cluster := range map[string]string{"one": "false", "cluster": "true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []string
			if cluster == "true" {
				options = []string{"--cluster-enabled", "yes"}
			}
			url, _ := redistest.Start(t, options...)
			at, err := redis.ParseURL(url)
			require.NoError(t, err)
			node := redis.NewClient(at)
			defer func() { require.NoError(t, node.Close()) }()
			if cluster == "true" {
				require.NoError(t, node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
				require.Eventually(t, func() bool { return node.Set(t.Context(), "x", 1, time.Second).Err() == nil }, 30*time.Second, 10*time.Millisecond)
			}
			cfg := limits.Config{PerMinute: 1, RedisURL: url, Cluster: cluster}
			ada := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser}
			here, there := newProcess(t, cfg, ada), newProcess(t, cfg, ada)
			listening(t, node, 2)
			for _, e := range []events.Event{accessChanged(ada.Account, uuid.Nil), accessChanged(uuid.New(), ada.Organization)} {
				there.fresh(t)
				begun := time.Now()
				if there.fresh(t) {
					require.Greater(t, time.Since(begun), remember, "it is known")
				}
				told := time.Now()
				here.bus.Publish(e)
				require.Eventually(t, func() bool { return there.fresh(t) }, remember, 5*time.Millisecond)
				require.Less(t, time.Since(told), remember-500*time.Millisecond, "before its time")
			}
		})
	}
}

// TestALostRedisCostsSeconds: nobody waits for it, and it is found again.
func TestALostRedisCostsSeconds(t *testing.T) {
	t.Parallel()
	url, stop := redistest.Start(t)
	cfg := limits.Config{PerMinute: 1, RedisURL: url}
	ada := services.Caller{Account: uuid.New(), Role: services.RoleUser}
	here, there := newProcess(t, cfg, ada), newProcess(t, cfg, ada)
	stop()
	there.fresh(t)
	begun := time.Now()
	here.bus.Publish(accessChanged(ada.Account, uuid.Nil))
	require.Less(t, time.Since(begun), time.Second, "whoever revokes does not wait")
	require.True(t, here.fresh(t) && !here.fresh(t) || time.Since(begun) > remember, "the process itself heeds it")
	require.Eventually(t, func() bool { return there.fresh(t) }, 3*remember, 50*time.Millisecond)
}

// TestWithoutARedisNothingIsTold.
func TestWithoutARedisNothingIsTold(t *testing.T) {
	t.Parallel()
	r, err := NewRevocations(limits.Config{}, zap.NewNop())
	require.NoError(t, err)
	bus := events.NewBus()
	r.Follow(bus)
	bus.Publish(accessChanged(uuid.New(), uuid.Nil))
	require.Empty(t, r.waiting)
	require.NoError(t, r.Close())
}

func FuzzRevocation(f *testing.F) {
	f.Add(uuid.Nil.String() + " " + uuid.Nil.String())
	f.Add("")
	f.Add("x y z")
	f.Fuzz(func(t *testing.T, text string) {
		account, organization, ok := readRevocation(text)
		if ok {
			again, also, ok := readRevocation(account.String() + " " + organization.String())
			if !ok || again != account || also != organization {
				t.Fatal(text)
			}
		}
	})
}
