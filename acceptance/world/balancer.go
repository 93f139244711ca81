package world

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// looksEvery is how often a Balancer asks whether who is behind it is ready.
const looksEvery = 100 * time.Millisecond

// Balancer is what stands in front of replicas in production: it gives each request
// to the next one that says it is ready. It sends nothing twice.
type Balancer struct {
	URL      string
	replicas []*replica
	next     atomic.Uint64
}

type replica struct {
	url   *url.URL
	ready atomic.Bool
}

// Balance serves on an address of its own until the test ends.
func Balance(t testing.TB, urls []string) *Balancer {
	t.Helper()
	b := &Balancer{}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatalf("world: %v", err)
		}
		found := &replica{url: u}
		found.ready.Store(true)
		b.replicas = append(b.replicas, found)
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 2000, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(b.pick())
			r.Out.Host = r.In.Host // what clients call us is what tokens are for
			r.SetXForwarded()
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "balancer: "+err.Error())
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("world: %v", err)
	}
	// Answers may come before the whole body is sent, and are then the last of the client's
	// connection: the server would read the rest of the body while it reads what comes next.
	proxy.ModifyResponse = func(r *http.Response) error {
		if body, ok := r.Request.Context().Value(bodyKey{}).(*body); ok && !body.ended.Load() {
			r.Header.Set("Connection", "close")
		}
		return nil
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			_ = http.NewResponseController(w).EnableFullDuplex()
			own := &body{ReadCloser: r.Body}
			r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, own))
			r.Body = own
		}
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	ctx, cancel := context.WithCancel(context.Background())
	probe := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, found := range b.replicas {
		go found.watch(ctx, probe)
	}
	t.Cleanup(func() {
		cancel()
		_ = server.Close()
		transport.CloseIdleConnections()
	})
	b.URL = "http://" + listener.Addr().String()
	return b
}

type bodyKey struct{}

// body knows whether its end was read.
type body struct {
	io.ReadCloser
	ended atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	return n, err
}

func (b *Balancer) pick() *url.URL {
	start := b.next.Add(1)
	all := uint64(len(b.replicas))
	for i := range all {
		if found := b.replicas[(start+i)%all]; found.ready.Load() {
			return found.url
		}
	}
	return b.replicas[start%all].url
}

func (r *replica) watch(ctx context.Context, probe *http.Client) {
	ticker := time.NewTicker(looksEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.ready.Store(answersWell(ctx, probe, r.url.JoinPath("readyz").String()))
	}
}

func answersWell(ctx context.Context, probe *http.Client, at string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return false
	}
	answer, err := probe.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
