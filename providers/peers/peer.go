package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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

type address struct {
	url     string
	refused atomic.Int64 // until when (Unix ns) it is left out
}

// pause is how long an address that refused a connection is left out.
const pause = 2 * time.Second

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
		p.addresses = append(p.addresses, &address{url: raw})
	}
	return p, nil
}

// Pick gives the address to use next, for those who forward whole requests.
func (p *Peer) Pick() *url.URL {
	u, _ := url.Parse(p.order()[0].url) // New has parsed it
	return u
}

// SignOrigin says where a request comes from that is passed on to the service.
func (p *Peer) SignOrigin(origin services.Origin) (string, error) { return p.tokens.SignOrigin(origin) }

// Service names the service behind the addresses.
func (p *Peer) Service() services.Name { return p.service }

// Call runs an operation that may be sent twice: it reads, or it carries an id
// that makes a repetition harmless.
func Call[I, O any](ctx context.Context, p *Peer, operation string, in I) (O, error) {
	return call[I, O](ctx, p, operation, in, true)
}

// CallOnce runs an operation that is sent again only when it can't have arrived.
func CallOnce[I, O any](ctx context.Context, p *Peer, operation string, in I) (O, error) {
	return call[I, O](ctx, p, operation, in, false)
}

func call[I, O any](ctx context.Context, p *Peer, operation string, in I, repeatable bool) (O, error) {
	var out O
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	for _, a := range p.order() {
		if err = ctx.Err(); err != nil {
			break // nothing was sent
		}
		var answer []byte
		var status int
		status, answer, err = p.send(ctx, a, operation, body)
		if err == nil {
			err = p.decode(status, answer, &out)
			if repeatable || !errors.Is(err, api.ErrForeign) {
				return out, err
			}
		}
		if !repeatable && !notSent(err) {
			return out, services.Errorf(services.Timeout, "The %s service did not answer; the outcome is unknown", p.service).
				WithCode("OUTCOME_UNKNOWN").Because(err)
		}
		if ctx.Err() != nil {
			break
		}
		if notSent(err) {
			a.refused.Store(time.Now().Add(pause).UnixNano())
		}
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return out, services.Errorf(services.Timeout, "The %s service took too long", p.service).Because(err)
	}
	return out, services.Errorf(services.Unavailable, "The %s service cannot be reached; try again", p.service).Because(err)
}

func (p *Peer) send(ctx context.Context, a *address, operation string, body []byte) (int, []byte, error) {
	url := a.url + "/internal/" + string(p.service) + "/" + operation
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	token, err := p.tokens.Sign(p.service, services.CallerFrom(ctx))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	if id := services.RequestID(ctx); id != "" {
		request.Header.Set(api.RequestHeader, id)
	}
	response, err := p.tokens.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (p *Peer) decode(status int, answer []byte, out any) error {
	if status >= 200 && status < 300 {
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("a service of ours answered what cannot be read: %w", err)
		}
		return nil
	}
	err := api.ReadError(status, answer)
	var e *services.Error
	if errors.As(err, &e) && e.Kind == services.Unauthenticated && e.Message == refused {
		// It is this process that is not believed, not its caller: to answer
		// Unauthenticated would tell the caller to sign in again.
		return services.Errorf(services.Unavailable, "The %s service cannot be used; try again", p.service).
			Because(errors.New("it refuses our token: UAOL_SERVICE_SECRET must be the same in every process, and clocks right"))
	}
	return err
}

// order is all addresses, beginning with the next in turn; those that refused
// a moment ago come last.
func (p *Peer) order() []*address {
	start := int(p.next.Add(1)) % len(p.addresses)
	now := time.Now().UnixNano()
	var good, bad []*address
	for i := range p.addresses {
		a := p.addresses[(start+i)%len(p.addresses)]
		if a.refused.Load() > now {
			bad = append(bad, a)
		} else {
			good = append(good, a)
		}
	}
	return append(good, bad...)
}

// notSent reports whether the request can't have reached anybody.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Close lets go of idle connections.
func (p *Peer) Close() { p.tokens.Close() }
