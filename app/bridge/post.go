package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
)

// Pauses between attempts.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// ask sends a request until it is answered, as far as sending it again is right.
func (r *running) ask(p *pending) {
	late := time.AfterFunc(soon, func() { r.late(p) })
	defer late.Stop()
	var failed *Way
	mended := map[int]bool{}
	for until, pause := time.Now().Add(Patience), firstPause; ; pause = min(2*pause, lastPause) {
		way, err := r.ways.of(p.ctx, failed, true)
		if err != nil {
			r.fail(p, services.Errorf(services.Unavailable, "%s", err))
			return
		}
		d, s := p.attempt(), r.session.of(p.message)
		err = r.exchange(p.ctx, way, p.message, d, s, func(_ answer, text []byte) { r.write(text) }, func(a answer, text []byte, header http.Header) {
			r.heed(p.message, a, header)
			r.answer(p, text)
		})
		var refused *refusal
		switch {
		case err == nil, p.ctx.Err() != nil:
			return
		case errors.As(err, &refused):
			if mended[refused.status] || !r.mend(p.ctx, way, p.message, s, refused) {
				r.answer(p, refused.answer(p.id))
				return
			}
			if mended[refused.status] = true; refused.status == http.StatusUnauthorized {
				failed = way
			}
			continue
		case d.perhaps() && !p.repeatable():
			r.fail(p, services.Errorf(services.Timeout, "The connection was lost before an answer came; whether the tool did its work is unknown. Look before you call it again").
				WithCode(services.CodeOutcomeUnknown))
			return
		case time.Now().After(until):
			r.fail(p, services.Errorf(services.Unavailable, "The server can't be reached: %s", err))
			return
		}
		failed = way
		rest(p.ctx, pause)
	}
}

// tell sends what needs no answer.
func (r *running) tell(m *message) {
	var failed *Way
	mended := map[int]bool{}
	for until, pause := time.Now().Add(Patience), firstPause; ; pause = min(2*pause, lastPause) {
		way, err := r.ways.of(r.ctx, failed, true)
		if err == nil {
			s := r.session.of(m)
			if err = r.exchange(r.ctx, way, m, &delivery{}, s, nil, nil); err == nil {
				if m.method == initialized {
					r.session.hears.Do(func() { go r.hear() })
				}
				return
			}
			var refused *refusal
			if errors.As(err, &refused) && !mended[refused.status] && r.mend(r.ctx, way, m, s, refused) {
				mended[refused.status] = true
				continue
			}
			if !errors.As(err, &refused) && time.Now().Before(until) {
				failed = way
				rest(r.ctx, pause)
				continue
			}
		}
		if r.ctx.Err() == nil {
			r.Say("a message of the client could not be passed on: %s", err)
		}
		return
	}
}

// mend does what makes a refused message one that is taken; false where nothing does.
func (r *running) mend(ctx context.Context, way *Way, m *message, s stamp, refused *refusal) bool {
	switch {
	case refused.status == http.StatusUnauthorized:
		return true // the key may be another one by now
	case refused.lost(s):
		return r.renew(ctx, way, s) == nil
	case refused.rpc.code() == mcp.CodeHeaderMismatch && m.params.modern && m.method == callTool:
		return r.learnAll(ctx, way, m)
	}
	return false
}

// heed takes from an answer what later messages need.
func (r *running) heed(m *message, a answer, header http.Header) {
	if a.result == nil {
		return
	}
	switch m.method {
	case initialize:
		r.session.begun(m, a, header)
	case setLevel:
		r.session.levelled(m)
	case listTools:
		r.learn(a.result)
	}
}

func (r *running) fail(p *pending, err error) {
	fault := upstream.RPCError{Code: int64(api.StatusOf(err)), Message: api.MessageOf(err)}
	fault.Data, _ = json.Marshal(map[string]any{"code": api.CodeOf(err)}) // a text
	r.answer(p, failure(p.id, fault))
}

// attempt begins another attempt.
func (p *pending) attempt() *delivery {
	d := &delivery{}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivery = d
	return d
}

// exchange posts a message and reads what comes of it: tell is given what comes before the
// answer.
func (r *running) exchange(ctx context.Context, way *Way, m *message, d *delivery, s stamp,
	tell func(said answer, text []byte), give func(a answer, text []byte, header http.Header)) error {
	response, err := r.post(ctx, way, m, d, s)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	r.reached()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return refusalOf(response)
	}
	if !m.isRequest() {
		_, err := io.Copy(io.Discard, response.Body)
		return err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "text/event-stream" {
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		a, ok := readAnswer(body)
		if ok && a.fault != nil && string(a.id) == "null" { // of a message whose id could not be read
			return &refusal{status: response.StatusCode, body: body, rpc: a}
		}
		if !ok || a.method != "" || !bytes.Equal(a.id, m.id) {
			return &refusal{status: http.StatusBadGateway, body: body}
		}
		give(a, body, response.Header)
		return nil
	}
	answered := false
	err = upstream.Events(response.Body, func(data []byte) {
		a, ok := readAnswer(data)
		switch {
		case !ok:
			r.Say("the server says something that is no message")
		case a.method == "" && bytes.Equal(a.id, m.id):
			answered = true
			give(a, data, response.Header)
		default:
			tell(a, data)
		}
	})
	if err == nil && !answered {
		err = io.ErrUnexpectedEOF
	}
	if answered { // what comes of the stream afterwards is nobody's
		return nil
	}
	return err
}

func (r *running) post(ctx context.Context, way *Way, m *message, d *delivery, s stamp) (*http.Response, error) {
	request, err := http.NewRequestWithContext(d.followed(ctx), http.MethodPost, way.URL, nil)
	if err != nil {
		return nil, err
	}
	header := way.Header.Clone()
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json, text/event-stream")
	if m.params.modern {
		m.mirror(header)
		if m.method == callTool {
			upstream.SetMirrors(header, r.mirrorsOf(m.params.name), m.params.arguments)
		}
	} else {
		s.set(header)
	}
	request.Header, request.ContentLength = header, int64(len(m.text))
	request.Body = d.body(m.text)
	request.GetBody = func() (io.ReadCloser, error) { return d.body(m.text), nil }
	return way.HTTP.Do(request)
}

// delivery follows a message on its way out. It errs on the side of having arrived: from
// when the last byte was taken, unless it is known that it could not be written.
type delivery struct {
	mu            sync.Mutex
	taken, failed bool
}

// perhaps reports whether the message may have arrived.
func (d *delivery) perhaps() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.taken && !d.failed
}

func (d *delivery) followed(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.failed = info.Err != nil
	}})
}

// body begins an attempt; HTTP's client makes another where nothing was written.
func (d *delivery) body(text []byte) io.ReadCloser {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken, d.failed = false, false
	return &followedBody{d: d, text: text}
}

type followedBody struct {
	d    *delivery
	text []byte
}

func (b *followedBody) Read(p []byte) (int, error) {
	n := copy(p, b.text)
	if b.text = b.text[n:]; len(b.text) > 0 {
		return n, nil
	}
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	b.d.taken = true
	return n, io.EOF
}

func (b *followedBody) Close() error { return nil }

// refusal is an answer of HTTP's that says no.
type refusal struct {
	status int
	body   []byte
	rpc    answer // in JSON-RPC; none where it is not
}

func (e *refusal) Error() string {
	var fault upstream.RPCError
	if e.rpc.fault != nil && json.Unmarshal(e.rpc.fault, &fault) == nil && fault.Message != "" {
		return fault.Message
	}
	return api.MessageOf(api.ReadError(e.status, e.body))
}

const longestRefusal = 1 << 20

func refusalOf(response *http.Response) error {
	e := &refusal{status: response.StatusCode}
	var err error
	if e.body, err = io.ReadAll(io.LimitReader(response.Body, longestRefusal)); err != nil {
		return err
	}
	if a, ok := readAnswer(e.body); ok {
		e.rpc = a
	}
	return e
}

// answer is the refusal as a request's answer.
func (e *refusal) answer(id json.RawMessage) []byte {
	if e.rpc.fault != nil {
		return failureOf(id, e.rpc.fault)
	}
	err := api.ReadError(e.status, e.body)
	fault := upstream.RPCError{Code: int64(e.status), Message: api.MessageOf(err)}
	if e.status == http.StatusUnauthorized {
		fault.Message += " (the server does not know the API key; set UAOL_API_KEY)"
	}
	data := map[string]any{"code": api.CodeOf(err)}
	if said, ok := services.AsError(err); ok && said.Details != nil {
		data["details"] = said.Details
	}
	fault.Data, _ = json.Marshal(data) // it came as JSON
	return failure(id, fault)
}

func rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
