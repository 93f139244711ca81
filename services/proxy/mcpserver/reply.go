package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"uaol/providers/api"
	"uaol/providers/upstream"
)

// reply is the answer to one request: one JSON message, or a stream of events as soon
// as something has to be told before it. It is safe for concurrent use.
type reply struct {
	to      http.ResponseWriter
	stream  *api.Stream
	id      json.RawMessage
	modern  bool
	streams bool // the client reads events
	only    bool // and nothing else

	mu      sync.Mutex
	ended   bool
	quiet   context.CancelFunc // ends the stream's beat; nil before it has begun
	beating sync.WaitGroup
}

var errNoStream = errors.New("the client does not read events")

// tell sends a notification, or a request with an id.
func (r *reply) tell(id, method string, params json.RawMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.streams || r.ended {
		return errNoStream
	}
	text := make([]byte, 0, 64+len(id)+len(method)+len(params))
	text = append(text, `{"jsonrpc":"2.0",`...)
	if id != "" {
		text = append(append(append(text, `"id":"`...), id...), `",`...)
	}
	text = append(append(append(text, `"method":"`...), method...), '"')
	if len(params) > 0 {
		text = append(append(text, `,"params":`...), params...)
	}
	return r.event(append(text, '}'))
}

// result ends the answer with a result.
func (r *reply) result(result []byte) { r.end(http.StatusOK, `"result":`, result) }

// fail ends the answer with an error.
func (r *reply) fail(fault *upstream.RPCError) { r.failWith(statusOf(fault, r.modern), fault) }

func (r *reply) failWith(status int, fault *upstream.RPCError) {
	text, err := json.Marshal(fault)
	if err != nil { // its data is not JSON
		text, _ = json.Marshal(upstream.RPCError{Code: fault.Code, Message: fault.Message})
	}
	r.end(status, `"error":`, text)
}

func (r *reply) end(status int, member string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	const before = `{"jsonrpc":"2.0",`
	size := len(before) + len(member) + len(value) + 1
	head := make([]byte, 0, 64+len(r.id))
	head = append(head, before...)
	if r.id != nil {
		head = append(append(append(head, `"id":`...), r.id...), ',')
	}
	head = append(head, member...)
	size += len(head) - len(before) - len(member)
	if r.quiet != nil || r.only {
		text := make([]byte, 0, size)
		_ = r.event(append(append(append(text, head...), value...), '}')) // whoever left does not mind
		return
	}
	header := r.to.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(size)}
	r.to.WriteHeader(status)
	for _, part := range [][]byte{head, value, closing} {
		_, _ = r.to.Write(part)
	}
}

var (
	jsonType = []string{"application/json"}
	closing  = []byte("}")
)

// event sends one message; its newlines, which only pretty JSON has, go.
func (r *reply) event(text []byte) error {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		var plain bytes.Buffer
		if json.Compact(&plain, text) == nil {
			text = plain.Bytes()
		}
	}
	event := make([]byte, 0, len(text)+24)
	return r.write(append(append(append(event, "event: message\ndata: "...), text...), "\n\n"...))
}

// write begins the stream if need be. A tool may be quiet for long, and so may somebody
// who is asked something: the stream says meanwhile that it is there.
func (r *reply) write(event []byte) error {
	if r.quiet == nil {
		ctx, cancel := context.WithCancel(context.Background())
		r.quiet = cancel
		r.beating.Go(func() { r.stream.Beat(ctx) })
	}
	return r.stream.Write(event)
}

// open begins a stream before there is anything to tell.
func (r *reply) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.write([]byte(": here\n\n"))
}

// accept answers what needs no answer.
func (r *reply) accept() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.to.WriteHeader(http.StatusAccepted)
}

// newReply reads from a request what its client reads.
func newReply(to http.ResponseWriter, of *http.Request) *reply {
	r := &reply{to: to, stream: api.NewStream(to, of)}
	accepts := strings.ToLower(strings.Join(of.Header.Values("Accept"), ","))
	r.streams = strings.Contains(accepts, "text/event-stream")
	r.only = r.streams && !strings.Contains(accepts, "application/json") && !strings.Contains(accepts, "*/*")
	return r
}

// close ends what goes on and lets the connection be used again.
func (r *reply) close() {
	r.mu.Lock()
	r.ended = true
	quiet := r.quiet
	r.mu.Unlock()
	if quiet != nil {
		quiet()
		r.beating.Wait() // nobody writes after the handler has returned
		r.stream.Close()
	}
}
