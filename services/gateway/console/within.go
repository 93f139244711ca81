package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"uaol/providers/api"
)

// within carries requests out in this process, by the handler that answers clients too.
// Nothing of them leaves it but what that handler passes on to other processes.
type within struct{ handler http.Handler }

var errCut = errors.New("the answer was cut off")

// RoundTrip implements http.RoundTripper. The answer's body is read while it is written.
func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	body, to := io.Pipe()
	w := &answer{header: http.Header{}, begun: make(chan struct{}), to: to}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r = r.WithContext(ctx)
	if r.ContentLength == 0 && r.Body != http.NoBody { // as a client knows it; servers say otherwise that nobody knows
		r.ContentLength = -1
	}
	r.RequestURI = r.URL.RequestURI()
	go func() {
		defer cancel()
		defer r.Body.Close()
		defer func() {
			if p := recover(); p != nil { // the router logs others; this one says that the answer is not whole
				w.end(errCut)
				return
			}
			w.end(nil)
		}()
		t.handler.ServeHTTP(w, r)
	}()
	select {
	case <-w.begun:
	case <-ctx.Done():
		_ = body.CloseWithError(ctx.Err())
		<-w.begun // the handler notices, and has let go of the request's body then
	}
	if w.status == 0 {
		return nil, errors.Join(errCut, ctx.Err())
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: reading{body, cancel}, ContentLength: -1, Request: r,
	}, nil
}

// reading is a body whose handler ends when nobody reads on.
type reading struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (r reading) Close() error {
	r.cancel()
	return r.ReadCloser.Close()
}

// answer is the http.ResponseWriter of such a request.
type answer struct {
	header http.Header
	sent   http.Header
	status int
	begun  chan struct{}
	to     *io.PipeWriter
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status != 0 || status < http.StatusOK {
		return
	}
	a.status, a.sent = status, a.header.Clone()
	close(a.begun)
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.to.Write(p)
}

func (a *answer) end(err error) {
	if err == nil {
		a.WriteHeader(http.StatusOK)
	} else if a.status == 0 {
		close(a.begun)
	}
	_ = a.to.CloseWithError(err)
}

// Flush and what follows are for http.ResponseController: nothing is kept back, and
// nobody is waited for.
func (a *answer) Flush() {}

// SetReadDeadline has nothing to end.
func (a *answer) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline has nothing to end.
func (a *answer) SetWriteDeadline(time.Time) error { return nil }

// EnableFullDuplex is so already.
func (a *answer) EnableFullDuplex() error { return nil }

// client asks the API as one request of a client's.
func client(handler http.Handler) *http.Client {
	return &http.Client{
		Transport:     within{handler},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// counted is the context of all that is asked to answer r.
func counted(r *http.Request) context.Context { return api.Within(r.Context()) }
