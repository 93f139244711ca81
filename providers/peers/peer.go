// Package peers is how services of ours that run in different processes talk:
// short-lived service tokens, and one client that knows several addresses.
package peers

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/services"
)

// Peer is a service of ours in another process, at one address or several.
type Peer struct {
	service   services.Name
	addresses []*address
	next      atomic.Uint64
	tokens    *Tokens
}

// New makes a Peer from what its URL variable holds: addresses separated by
// commas. A Fault names the variable when there is none.
func New(service services.Name, variable, urls string, tokens *Tokens) (*Peer, error) {
	p := &Peer{service: service, tokens: tokens}
	want := "the " + string(service) + " service's URL such as http://host:port, because this process does not run it"
	for _, raw := range strings.Split(urls, ",") {
		raw = strings.TrimRight(strings.TrimSpace(raw), "/")
		u, err := url.Parse(raw)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, &config.Fault{Variable: variable, Value: urls, Want: want}
		}
		p.addresses = append(p.addresses, tokens.network.at(u))
	}
	return p, nil
}

// SignOrigin says where a request comes from that is passed on to the service.
func (p *Peer) SignOrigin(origin services.Origin) (string, error) { return p.tokens.SignOrigin(origin) }

// Service names the service behind the addresses.
func (p *Peer) Service() services.Name { return p.service }

// Ready asks the address that is next whether it is ready for work.
func (p *Peer) Ready(ctx context.Context) bool {
	return p.tokens.network.ready(ctx, p.order()[0].url) == http.StatusOK
}

// order is all addresses, beginning with the next in turn; those that are left
// out come last.
func (p *Peer) order() []*address {
	start := int(p.next.Add(1) % uint64(len(p.addresses)))
	good := make([]*address, 0, len(p.addresses))
	var bad []*address
	for i := range p.addresses {
		a := p.addresses[(start+i)%len(p.addresses)]
		if a.state(len(p.addresses) == 1) {
			bad = append(bad, a)
		} else {
			good = append(good, a)
		}
	}
	return append(good, bad...)
}

// tooLate is when no other address is tried any more: whatever took that long
// takes as long there, and its caller has waited enough.
const tooLate = 10 * time.Second

// try has f send something to one address after the other until one has answered.
// After an attempt that may have arrived it goes on only with what is repeatable.
// When all have refused, they get a moment and one more round: a process that is
// replaced at its address is away for that long. sent says that some may have
// arrived.
func (p *Peer) try(ctx context.Context, repeatable func() bool, f func(*address) error) (sent bool, err error) {
	begun := time.Now()
	over := func() bool { return ctx.Err() != nil || err != nil && time.Since(begun) > tooLate }
	for round := range 2 {
		if round > 0 && (over() || !p.await(ctx)) {
			break
		}
		for _, a := range p.order() {
			if over() {
				break
			}
			if err = f(a); err == nil {
				return sent, nil
			}
			var dialling unreached
			switch {
			case errors.As(err, &dialling):
				a.refused()
				continue
			case ctx.Err() == nil && !errors.Is(err, errKeep):
				a.leave()
			}
			if sent = true; !repeatable() {
				return sent, err
			}
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return sent, err
}

// await waits until an address may be used again, for as long as there is hope.
// Whoever waits looks at what one request to /readyz finds out for all, and none
// comes back at the same moment as the others.
func (p *Peer) await(ctx context.Context) bool {
	for end := time.Now().Add(patience); ; {
		var hope time.Duration
		for _, a := range p.addresses {
			if !a.state(false) {
				return true
			}
			hope = max(hope, a.hope())
		}
		hope = min(hope, time.Until(end))
		if hope <= 0 {
			return false
		}
		pause := time.NewTimer(min(hope, 20*time.Millisecond+rand.N(40*time.Millisecond)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return false
		case <-pause.C:
		}
	}
}

// send sends a request to one address and hears what it says of itself.
func (a *address) send(request *http.Request) (*http.Response, error) {
	carry(request.Context(), request.Header)
	response, err := a.network.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.Header.Get(api.StoppingHeader) != "" {
		a.leave()
		response.Header.Del(api.StoppingHeader)
	}
	return response, nil
}

// Close lets go of idle connections.
func (p *Peer) Close() { p.tokens.Close() }
