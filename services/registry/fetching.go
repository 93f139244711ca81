package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"uaol/providers/egress"
	"uaol/services"
)

// Limits of fetching one document.
const (
	maxFetched = 10_000_000 // bytes
	fetchTime  = 30 * time.Second
	fetchTries = 4
	longPause  = time.Minute // that a server may ask for
)

// fetcher gets documents from addresses that people give.
type fetcher struct {
	transport *http.Transport
	client    http.Client
}

func newFetcher(policy *egress.Policy) *fetcher {
	transport := policy.Transport()
	return &fetcher{transport, http.Client{Transport: transport, Timeout: fetchTime, CheckRedirect: egress.CheckRedirect}}
}

func (f *fetcher) close() { f.transport.CloseIdleConnections() }

// get gives a document and the time by its server's clock. It tries again what
// may pass: 429, 5xx, a broken connection.
func (f *fetcher) get(ctx context.Context, address string) (document []byte, clock time.Time, err error) {
	for try := 1; ; try++ {
		var pause time.Duration
		document, clock, pause, err = f.once(ctx, address)
		if err == nil || pause < 0 || try == fetchTries {
			return document, clock, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, clock, ctx.Err()
		case <-timer.C:
		}
	}
}

// once asks once. A pause of less than zero says that asking again is in vain.
func (f *fetcher) once(ctx context.Context, address string) (document []byte, clock time.Time, pause time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, clock, -1, atPath("body.url", errors.New("is not a URL"))
	}
	request.Header.Set("Accept", "application/json, application/yaml;q=0.9, */*;q=0.5")
	request.Header.Set("User-Agent", "UAOL")
	asked := time.Now()
	response, err := f.client.Do(request)
	if err != nil {
		var refused *egress.RefusedError
		switch {
		case errors.As(err, &refused):
			return nil, clock, -1, atPath("body.url", refused)
		case ctx.Err() != nil:
			return nil, clock, -1, ctx.Err()
		}
		pause = time.Second
		if slow := (net.Error)(nil); errors.As(err, &slow) && slow.Timeout() { // whoever waits has waited long enough
			pause = -1
		}
		return nil, clock, pause, services.Errorf(services.Upstream, "%s does not answer", hostOf(address)).Because(err)
	}
	defer response.Body.Close()
	if clock, err = http.ParseTime(response.Header.Get("Date")); err != nil || clock.After(asked) {
		clock = asked // ours, when it has none or a fast one
	}
	if response.StatusCode != http.StatusOK {
		pause = -1
		if response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500 {
			pause = retryAfter(response.Header.Get("Retry-After"))
		}
		return nil, clock, pause, services.Errorf(services.Upstream, "%s answers with status %d", hostOf(address), response.StatusCode)
	}
	document, err = io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, clock, -1, ctx.Err()
	case err != nil:
		return nil, clock, time.Second, services.Errorf(services.Upstream, "%s broke off its answer", hostOf(address)).Because(err)
	case len(document) > maxFetched:
		return nil, clock, -1, services.Errorf(services.Upstream, "%s answers with more than %d MB", hostOf(address), maxFetched/1_000_000)
	}
	return document, clock, 0, nil
}

func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, longPause)
	}
	return time.Second
}

// hostOf is an address as messages show it: without a query that may hold a key.
func hostOf(address string) string {
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return "the address"
	}
	return request.URL.Scheme + "://" + request.URL.Host
}

func (r run) text() string {
	text, err := json.Marshal(r)
	if err != nil { // plain values can always be written
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func readRun(cursor string) (at run, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || at.Cursor == "" {
		return at, services.Faults(services.Fault{Path: "body.cursor", Message: "is not the cursor of an import"})
	}
	return at, nil
}
