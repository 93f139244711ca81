package peers

import (
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// lookEvery is how old, at most, what is known of an address may be when others
	// could be used instead; it is renewed by whoever uses them, and by nobody else.
	lookEvery = time.Second
	// lookAgain is that for addresses that are left out.
	lookAgain = 100 * time.Millisecond
)

// address is one at which a service is, and what this process knows of it.
type address struct {
	url     *url.URL
	network *network

	mu      sync.Mutex
	out     bool      // it is used only when there is no other
	said    time.Time // when somebody last found that it must be left out
	refuses time.Time // since when it can't be reached; zero when it can
	looked  time.Time // when it was last asked whether it is ready
	looking bool
}

// leave is for an address that stops, refuses, or has cut a connection.
func (a *address) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out, a.said = true, time.Now()
}

// refused is leave for one that could not be reached.
func (a *address) refused() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.out, a.said = true, now; a.refuses.IsZero() {
		a.refuses = now
	}
}

// state asks for a newer look when what is known is too old. alone says that there
// is no other address: then it is only asked when it is left out.
func (a *address) state(alone bool) (out bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	age := time.Since(a.looked)
	if !a.looking && (a.out && age >= lookAgain || !a.out && !alone && age >= lookEvery) {
		a.looking = a.network.begin(a.look)
	}
	return a.out
}

// look finds out whether the process there is ready; whatever answers without being
// able to say (/readyz may be kept from us) counts as willing. What somebody has
// found meanwhile is newer.
func (a *address) look() {
	began := time.Now()
	status := a.network.ready(a.network.life, a.url)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looking, a.looked = false, time.Now()
	switch {
	case status != 0:
		a.refuses = time.Time{}
	case a.refuses.IsZero():
		a.refuses = began
	}
	if status == 0 || status == http.StatusServiceUnavailable {
		a.out, a.said = true, a.looked
	} else if a.said.Before(began) {
		a.out = false
	}
}

// patience is how long an address that can't be reached may take to come back
// before that is told to those who want something of it.
const patience = 1500 * time.Millisecond

// hope is for how long it may still be waited for.
func (a *address) hope() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuses.IsZero() {
		return patience
	}
	return patience - time.Since(a.refuses)
}
