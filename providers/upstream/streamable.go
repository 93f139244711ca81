package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
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
// the calls of others, on one bad answer, and re-encodes results with a loss.
type streamable struct {
	sdk     *mcp.ClientSession
	http    *http.Client
	url     string
	id      string // empty where the server keeps no session
	version string
	limit   int64
	ids     atomic.Int64

	ctx  context.Context
	stop context.CancelFunc
	tail sync.WaitGroup // what goes on after a call has returned
}

func (c *Client) openHTTP(ctx context.Context, url string, stop context.CancelFunc) (session, error) {
	bounded := *c.http
	bounded.Transport = capped{c.http.Transport, c.limits.MaxAnswer, ctx}
	client := mcp.NewClient(clientName, &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	sdk, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:             url,
		HTTPClient:           &bounded,
		MaxRetries:           -1,
		DisableStandaloneSSE: true,
		MaxEventSize:         int(c.limits.MaxAnswer),
	}, nil)
	if err != nil {
		return nil, err
	}
	s := &streamable{
		sdk: sdk, http: c.http, url: url, id: sdk.ID(), version: sdk.InitializeResult().ProtocolVersion,
		limit: c.limits.MaxAnswer, ctx: ctx, stop: stop,
	}
	s.ids.Store(1000) // clear of the SDK's own ids
	return s, nil
}

// close lets the notices to the server out first; each has a time limit.
func (s *streamable) close() {
	s.tail.Wait()
	_ = s.sdk.Close() // tells the server; whether it listens changes nothing
	s.stop()
}

func (s *streamable) request(ctx context.Context, r request, d *delivery) ([]byte, error) {
	params := maps.Clone(r.params)
	if s.version >= stateless {
		params["_meta"] = s.introduce(params["_meta"])
	}
	id := s.ids.Add(1)
	raw, err := s.exchange(ctx, id, r, params, d)
	if ctx.Err() != nil && d.written() && err != nil {
		s.giveUp(id)
	}
	return raw, err
}

func (s *streamable) introduce(meta any) map[string]any {
	all := map[string]any{}
	if given, ok := meta.(map[string]any); ok {
		maps.Copy(all, given)
	}
	all[mcp.MetaKeyProtocolVersion] = s.version
	all[mcp.MetaKeyClientInfo] = clientName
	all[mcp.MetaKeyClientCapabilities] = struct{}{}
	return all
}

// exchange posts a request and reads its answer. The HTTP request outlives ctx
// by a moment after a success, to read a stream to its end: only then can the
// connection be used again.
func (s *streamable) exchange(ctx context.Context, id int64, r request, params map[string]any, d *delivery) ([]byte, error) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	body, err := encode(map[string]any{"jsonrpc": "2.0", "id": id, "method": r.method, "params": params})
	if err != nil {
		cancel(nil)
		return nil, err
	}
	response, err := s.post(withDelivery(own, d), r, body)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	raw, err := s.answer(own, response, id)
	if err != nil || !unhook() {
		cancel(nil)
		_ = response.Body.Close()
		return raw, err
	}
	s.tail.Go(func() {
		end := time.AfterFunc(drainTimeout, func() { cancel(nil) })
		_, _ = io.CopyN(io.Discard, response.Body, 4096)
		_ = response.Body.Close()
		end.Stop()
		cancel(nil)
	})
	return raw, nil
}

func (s *streamable) post(ctx context.Context, r request, body []byte) (*http.Response, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Accept", "application/json, text/event-stream")
	s.identify(post)
	if s.version >= stateless && r.method != "" {
		post.Header.Set("Mcp-Method", r.method)
		if r.tool != "" {
			post.Header.Set("Mcp-Name", r.tool)
		}
	}
	return s.http.Do(post)
}

func (s *streamable) identify(r *http.Request) {
	r.Header.Set("Mcp-Protocol-Version", s.version)
	if s.id != "" {
		r.Header.Set("Mcp-Session-Id", s.id)
	}
}

func (s *streamable) answer(ctx context.Context, response *http.Response, id int64) ([]byte, error) {
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, s.refused(response)
	}
	switch mediaType(response) {
	case "application/json":
		data, err := readAll(response.Body, s.limit)
		if err != nil {
			return nil, err
		}
		message, err := parseMessage(data)
		if err != nil {
			return nil, err
		}
		if !message.answers(id) {
			return nil, garbage("it answers another request")
		}
		return message.outcome()
	case "text/event-stream":
		return s.follow(ctx, response, id)
	default:
		return nil, garbage("it is neither JSON nor an event stream")
	}
}

// refused tells a session that the server has lost, so that it can't have acted
// on the request, from other refusals. The specification wants a 404; many
// servers say 400 and name the session.
func (s *streamable) refused(response *http.Response) error {
	said := readRefusal(response)
	err := statusFault(response.StatusCode, said.code, said.message)
	switch {
	case response.StatusCode == http.StatusNotFound && s.id != "",
		response.StatusCode == http.StatusBadRequest && said.aboutSession(),
		said.code != nil && *said.code == mcp.CodeUnsupportedProtocolVersion:
		return goneError{err}
	}
	return err
}

// follow reads a stream until the answer to request id, and resumes it where
// the server ended it early and said from where.
func (s *streamable) follow(ctx context.Context, response *http.Response, id int64) ([]byte, error) {
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
			raw, done, err := s.heed(ctx, e, id)
			if done {
				return raw, err
			}
			continue
		}
		var known *services.Error
		if errors.As(err, &known) || ctx.Err() != nil || last == "" || fruitless == maxResumes {
			return nil, err
		}
		fruitless++
		resumed, err := s.resume(ctx, last, delay)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resumed.Body.Close() }()
		events = newEventReader(resumed.Body, events.left)
	}
}

func (s *streamable) resume(ctx context.Context, last string, delay time.Duration) (*http.Response, error) {
	pause := time.NewTimer(delay)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	get.Header.Set("Accept", "text/event-stream")
	get.Header.Set("Last-Event-ID", last)
	s.identify(get)
	response, err := s.http.Do(get)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK || mediaType(response) != "text/event-stream" {
		_ = response.Body.Close()
		return nil, fmt.Errorf("resuming was answered with HTTP status %d", response.StatusCode)
	}
	return response, nil
}

// heed deals with one event and says whether it was the answer.
func (s *streamable) heed(ctx context.Context, e event, id int64) (raw []byte, done bool, err error) {
	if len(e.data) == 0 || e.name != "" && e.name != "message" {
		return nil, false, nil
	}
	message, err := parseMessage(e.data)
	switch {
	case err != nil:
		return nil, true, err
	case message.Method != "" && !isNull(message.ID):
		s.decline(ctx, message)
		return nil, false, nil
	case message.Method != "":
		return nil, false, nil
	case !message.answers(id):
		return nil, false, nil
	}
	raw, err = message.outcome()
	return raw, true, err
}

// decline answers what the server asks in the middle of a call. We offered it
// nothing, so all but a ping is refused; without an answer it might wait for ever.
func (s *streamable) decline(ctx context.Context, asked rpcMessage) {
	reply := map[string]any{"jsonrpc": "2.0", "id": asked.ID}
	if asked.Method == "ping" {
		reply["result"] = struct{}{}
	} else {
		reply["error"] = map[string]any{"code": jsonrpc.CodeMethodNotFound, "message": "not supported by this client"}
	}
	s.say(ctx, reply)
}

// giveUp tells a server with sessions that nobody waits for an answer any more;
// the others learn it from the closed connection.
func (s *streamable) giveUp(id int64) {
	if s.id == "" || s.ctx.Err() != nil {
		return
	}
	s.tail.Go(func() {
		s.say(s.ctx, map[string]any{
			"jsonrpc": "2.0", "method": "notifications/cancelled",
			"params": map[string]any{"requestId": id, "reason": "the caller no longer waits"},
		})
	})
}

// say sends what needs no answer; failing changes nothing.
func (s *streamable) say(ctx context.Context, message map[string]any) {
	ctx, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	body, err := encode(message)
	if err != nil {
		return
	}
	response, err := s.post(withDelivery(ctx, &delivery{}), request{}, body)
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

func encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, services.Errorf(services.Invalid, "the call can't be written as JSON").Because(err)
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}
