package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/services"
)

// stateless is the first protocol version without sessions, in which every
// request introduces itself.
const stateless = "2026-07-28"

// Bounds of a stream that the server cuts and lets us resume (SEP-1699).
const (
	maxResumes   = 5
	resumeDelay  = time.Second
	drainTimeout = time.Second     // for the end of a stream whose answer is read
	sayTimeout   = 2 * time.Second // for what is sent without waiting for an answer
)

// streamable is a session over streamable HTTP. The SDK opens and closes it;
// the requests between are ours, because the SDK breaks the whole session, with
// the calls of others, on one bad answer, and decodes and encodes what is only
// to be passed on.
type streamable struct {
	sdk          *mcp.ClientSession
	way          *way
	url          *url.URL
	version      string
	says         struct{ id, version []string } // as headers; no id where the server keeps no session
	introduction string                         // members of _meta, in the stateless protocol
	limit        int64
	ids          atomic.Int64
	headers      atomic.Pointer[http.Header] // of the latest call

	offers Offered
	level  level
	aside  *aside

	ctx  context.Context
	stop context.CancelFunc
	tail sync.WaitGroup // what goes on after a call has returned
}

func (c *Client) openHTTP(ctx context.Context, way *way, key sessionKey, target Target, options *mcp.ClientSessionOptions, stop context.CancelFunc) (*streamable, error) {
	at, err := url.Parse(target.URL)
	if err != nil {
		return nil, err
	}
	s := &streamable{way: way, url: at, limit: c.limits.MaxAnswer, aside: newAside(ctx), ctx: ctx, stop: stop}
	s.headers.Store(&target.Headers)
	bounded := *way.http
	bounded.Transport = capped{carrying{way.http.Transport, &s.headers}, c.limits.MaxAnswer, ctx}
	sdk, err := newSDKClient(key.can).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:             target.URL,
		HTTPClient:           &bounded,
		MaxRetries:           -1,
		DisableStandaloneSSE: true,
		MaxEventSize:         int(c.limits.MaxAnswer),
	}, options)
	if err != nil {
		return nil, err
	}
	s.sdk, s.version = sdk, sdk.InitializeResult().ProtocolVersion
	s.offers = offeredBy(sdk)
	s.says.version = []string{s.version}
	if id := sdk.ID(); id != "" && s.version < stateless { // some servers go on giving ids to sessions that there no longer are
		s.says.id = []string{id}
	}
	s.ids.Store(1000) // clear of the SDK's own ids
	if s.version >= stateless {
		s.introduction, err = introductionOf(s.version)
	}
	return s, err
}

// close lets the notices to the server out first; each has a time limit.
func (s *streamable) close() {
	s.aside.close()
	s.tail.Wait()
	_ = s.sdk.Close() // tells the server; whether it listens changes nothing
	s.stop()
}

func (s *streamable) request(ctx context.Context, r *request, d *delivery) (reply, error) {
	if len(r.headers) > 0 {
		s.headers.Store(&r.headers)
	}
	s.loosen(ctx, r)
	id := s.ids.Add(1)
	defer s.aside.begins(ctx, id, r)()
	if r.talk != nil && r.talk.Answer != nil && r.talk.Can != "" && s.says.id != nil {
		s.hear(ctx)
	}
	got, err := s.exchange(ctx, id, r, d)
	if err != nil && ctx.Err() != nil && d.written() {
		s.giveUp(id)
	}
	return got, err
}

// exchange posts a request and reads its answer. After an answer in a stream the
// HTTP request goes on for a moment, to read the stream to its end: only then can
// the connection be used again.
func (s *streamable) exchange(ctx context.Context, id int64, r *request, d *delivery) (reply, error) {
	body, err := r.body(id, s.introduction)
	if err != nil {
		return reply{}, err
	}
	response, err := s.post(ctx, r, d, body)
	if err != nil {
		return reply{}, err
	}
	got, streamed, err := s.answer(ctx, response, id, r)
	if err == nil && streamed {
		if end, ok := r.life.outlive(); ok {
			s.tail.Go(func() {
				late := time.AfterFunc(drainTimeout, end)
				_, _ = io.CopyN(io.Discard, response.Body, 4096)
				_ = response.Body.Close()
				late.Stop()
				end()
			})
			return got, nil
		}
	}
	_ = response.Body.Close()
	return got, err
}

func (s *streamable) post(ctx context.Context, r *request, d *delivery, body []byte) (*http.Response, error) {
	header := make(http.Header, 8+len(r.headers))
	carry(header, r.headers)
	header["Content-Type"], header["Accept"], header["Accept-Encoding"] = typeJSON, acceptBoth, uncompressed
	s.identify(header)
	if s.introduction != "" && r.method != "" {
		header["Mcp-Method"] = []string{r.method}
		if r.subject != "" {
			header["Mcp-Name"] = []string{HeaderText(r.subject)}
		}
		SetMirrors(header, r.mirrors, r.arguments)
	}
	return s.way.do(post(ctx, d, s.url, body, header))
}

var (
	typeJSON = []string{jsonType}
	// Most answers are too short to gain by compression, and what comes counts as
	// it is against the cap.
	uncompressed = []string{"identity"}
	acceptBoth   = []string{"application/json, text/event-stream"}
)

func (s *streamable) identify(header http.Header) {
	header["Mcp-Protocol-Version"] = s.says.version
	if s.says.id != nil {
		header["Mcp-Session-Id"] = s.says.id
	}
}

// answer reads an answer, and says whether more of its stream may follow.
func (s *streamable) answer(ctx context.Context, response *http.Response, id int64, r *request) (got reply, streamed bool, err error) {
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return reply{}, false, s.refused(response)
	}
	switch mediaType(response) {
	case jsonType:
		got, err = s.whole(response, id)
		return got, false, err
	case "text/event-stream":
		got, err = s.follow(ctx, response, id, r)
		return got, true, err
	default:
		return reply{}, false, garbage("it is neither JSON nor an event stream")
	}
}

// whole reads an answer that is one JSON message.
func (s *streamable) whole(response *http.Response, id int64) (reply, error) {
	buffer := newBuffer()
	data, err := readAll(buffer, response.Body, s.limit)
	if err != nil {
		freeBuffer(buffer)
		return reply{}, err
	}
	message, err := parseMessage(data)
	if err != nil {
		return reply{}, err
	}
	if !message.answers(id) {
		return reply{}, garbage("it answers another request")
	}
	raw, err := message.outcome()
	return reply{raw, int64(len(data)), buffer}, err
}

// refused tells a session that the server has lost, so that it can't have acted
// on the request, from other refusals. The specification wants a 404; many
// servers say 400 and name the session.
func (s *streamable) refused(response *http.Response) error {
	said := readRefusal(response)
	err := said.fault()
	switch {
	case response.StatusCode == http.StatusNotFound && s.says.id != nil,
		response.StatusCode == http.StatusBadRequest && said.aboutSession(),
		said.said != nil && said.said.Code == mcp.CodeUnsupportedProtocolVersion:
		return goneError{err}
	}
	return err
}

// follow reads a stream until the answer to request id, and resumes it where
// the server ended it early and said from where.
func (s *streamable) follow(ctx context.Context, response *http.Response, id int64, r *request) (reply, error) {
	events := newEventReader(response.Body, s.limit)
	last, delay, fruitless := "", resumeDelay, 0
	for {
		e, err := events.next()
		if err == nil {
			fruitless = 0
			if e.id != "" {
				last = e.id
			}
			if e.retry > 0 {
				delay = e.retry
			}
			raw, done, err := s.heed(ctx, e, id, r)
			if done {
				return reply{raw: raw, received: s.limit - events.left}, err
			}
			continue
		}
		var known *services.Error
		if errors.As(err, &known) || ctx.Err() != nil || last == "" || fruitless == maxResumes {
			return reply{}, err
		}
		fruitless++
		resumed, err := s.resume(ctx, last, delay, r)
		if err != nil {
			return reply{}, err
		}
		defer func() { _ = resumed.Body.Close() }()
		events = newEventReader(resumed.Body, events.left)
	}
}

func (s *streamable) resume(ctx context.Context, last string, delay time.Duration, r *request) (*http.Response, error) {
	pause := time.NewTimer(delay)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return s.stream(ctx, last, r.headers)
}

// stream asks for events, those after the last one that came.
func (s *streamable) stream(ctx context.Context, last string, headers http.Header) (*http.Response, error) {
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, err
	}
	carry(get.Header, headers)
	get.Header.Set("Accept", "text/event-stream")
	if last != "" {
		get.Header.Set("Last-Event-ID", last)
	}
	s.identify(get.Header)
	response, err := s.way.do(get)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK || mediaType(response) != "text/event-stream" {
		_ = response.Body.Close()
		return nil, fmt.Errorf("asking for events was answered with HTTP status %d", response.StatusCode)
	}
	return response, nil
}

// heed deals with one event and says whether it was the answer.
func (s *streamable) heed(ctx context.Context, e event, id int64, r *request) (raw []byte, done bool, err error) {
	if len(e.data) == 0 || e.name != "" && e.name != "message" {
		return nil, false, nil
	}
	message, err := parseMessage(e.data)
	switch {
	case err != nil:
		return nil, true, err
	case message.Method != "" && !isNull(message.ID):
		err := s.asked(ctx, question{message.ID, message.Method, message.Params}, r)
		return nil, err != nil, err
	case message.Method != "":
		r.told(message.Method, message.Params)
		return nil, false, nil
	case !message.answers(id):
		return nil, false, nil
	}
	raw, err = message.outcome()
	return raw, true, err
}

// asked answers what the server asks in the middle of a call, while its stream is read
// on.
func (s *streamable) asked(ctx context.Context, q question, r *request) error {
	if r.questions.Add(1) > mostQuestions {
		return garbage("it asks too much")
	}
	s.tail.Go(func() {
		reply := map[string]any{"jsonrpc": "2.0", "id": q.ID}
		if result, fault := r.answer(ctx, q); fault != nil {
			reply["error"] = fault
		} else {
			reply["result"] = result
		}
		s.say(ctx, reply, r.headers)
	})
	return nil
}

// loosen lets the server send the log messages that are wanted.
func (s *streamable) loosen(ctx context.Context, r *request) {
	if r.talk == nil || s.introduction != "" || !s.offers.Logging {
		return
	}
	s.level.loosen(ctx, s.sdk, r.talk.Level)
}

func (s *streamable) offered() Offered { return s.offers }

// giveUp tells a server with sessions that nobody waits for an answer any more;
// the others learn it from the closed connection.
func (s *streamable) giveUp(id int64) {
	if s.says.id == nil || s.ctx.Err() != nil {
		return
	}
	s.tail.Go(func() {
		s.say(s.ctx, map[string]any{
			"jsonrpc": "2.0", "method": "notifications/cancelled",
			"params": map[string]any{"requestId": id, "reason": "the caller no longer waits"},
		}, *s.headers.Load())
	})
}

// say sends what needs no answer; failing changes nothing.
func (s *streamable) say(ctx context.Context, message map[string]any, headers http.Header) {
	ctx, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	body, err := encode(message)
	if err != nil {
		return
	}
	response, err := s.post(ctx, &request{headers: headers}, &delivery{}, body)
	if err == nil {
		_, _ = io.CopyN(io.Discard, response.Body, 4096)
		_ = response.Body.Close()
	}
}

func (m rpcMessage) answers(id int64) bool {
	if isNull(m.ID) {
		return !isNull(m.Error) // a server that could not read our id
	}
	got := strings.Trim(strings.TrimSpace(string(m.ID)), `"`)
	return got == strconv.FormatInt(id, 10)
}

// listChanged is how a server says that it has other methods now.
const listChanged = "notifications/tools/list_changed"
