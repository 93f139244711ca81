package peers

import (
	"time"

	"github.com/maypok86/otter/v2"

	"uaol/services"
)

// Services say the same things of the same callers again and again, so what was signed
// is said again for a while, and what was read is known for as long as it is valid.
// Signing and reading take longer than most of what else passing a request on does.
const (
	sayAgain   = lifetime / 3 // what is said again is valid for twice as long at least
	remembered = 4 << 20      // bytes of tokens, of each kind
)

// memory is what tokens say, or the tokens for what is to be said.
type memory[K comparable, V any] struct{ cache *otter.Cache[K, until[V]] }

type until[V any] struct {
	value V
	end   time.Time
}

// good by both clocks: the machine's own stands still while it sleeps, and the wall's,
// by which readers judge, can be set.
func (u until[V]) good(now time.Time) bool {
	return now.Before(u.end) && now.Round(0).Before(u.end.Round(0))
}

func newMemory[K comparable, V any](size func(K, V) int) memory[K, V] {
	return memory[K, V]{otter.Must(&otter.Options[K, until[V]]{
		MaximumWeight: remembered, Weigher: func(k K, v until[V]) uint32 { return uint32(size(k, v.value)) },
	})}
}

// of is what is remembered of k; find tells it and when that ends.
func (m memory[K, V]) of(k K, find func() (V, time.Time, error)) (value V, err error) {
	if known, ok := m.cache.GetIfPresent(k); ok && known.good(time.Now()) {
		return known.value, nil
	}
	found, end, err := find()
	if err != nil {
		return value, err
	}
	m.cache.Set(k, until[V]{found, end})
	return found, nil
}

// heard is a token, and whom it was to be for.
type heard struct{ token, audience string }

// acting is on whose behalf a service is asked.
type acting struct {
	audience services.Name
	caller   services.Caller
}

// memories are of both kinds of tokens, in both directions.
type memories struct {
	callers     memory[acting, string]
	origins     memory[services.Origin, string]
	readCallers memory[heard, services.Caller]
	readOrigins memory[heard, services.Origin]
}

func newMemories() memories {
	return memories{
		newMemory(func(_ acting, token string) int { return len(token) }),
		newMemory(func(_ services.Origin, token string) int { return len(token) }),
		newMemory(func(h heard, _ services.Caller) int { return len(h.token) }),
		newMemory(func(h heard, _ services.Origin) int { return len(h.token) }),
	}
}
