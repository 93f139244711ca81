package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/services"
)

// Talk is a call's way back to whoever makes it: the tool may tell how far it is, and
// ask something in the middle of a call.
type Talk struct {
	Can   Capabilities // what the tool may ask of the caller's client
	Who   string       // whose client it is: where a tool's questions do not say which call they belong to, nobody shares a session with others
	Level string       // the least important log messages that are wanted; "" for none

	// Notify is told of notifications/progress, whose progressToken is ours, and of
	// notifications/message; nil where nobody wants to know. It is called by several
	// goroutines and must not block for long.
	Notify func(method string, params json.RawMessage)
	// Answer answers elicitation/create, sampling/createMessage and roots/list, by several
	// goroutines. An RPCError is the client's own. The call's time does not run out
	// meanwhile.
	Answer func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)
}

// What servers may ask of clients.
const (
	Elicit    = "elicitation/create"
	Sample    = "sampling/createMessage"
	ListRoots = "roots/list"
)

const (
	notifyProgress = "notifications/progress"
	notifyMessage  = "notifications/message"
)

// Capabilities are what a client can be asked, as MCP's ClientCapabilities in one
// fixed way to write them, so that equal ones are equal; "" for none.
type Capabilities string

// Everything is all that a client can be asked. Tools are listed with it: some servers
// show certain methods only to those who can be asked.
const Everything Capabilities = `{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"context":{},"tools":{}}}`

// CapabilitiesOf reads a client's capabilities and leaves out what servers can't ask.
func CapabilitiesOf(raw json.RawMessage) Capabilities {
	var said struct {
		Elicitation *struct {
			Form *struct{} `json:"form,omitempty"`
			URL  *struct{} `json:"url,omitempty"`
		} `json:"elicitation,omitempty"`
		Roots    *struct{} `json:"roots,omitempty"`
		Sampling *struct {
			Context *struct{} `json:"context,omitempty"`
			Tools   *struct{} `json:"tools,omitempty"`
		} `json:"sampling,omitempty"`
	}
	if isNull(raw) || json.Unmarshal(raw, &said) != nil {
		return ""
	}
	text, err := json.Marshal(said)
	if err != nil || string(text) == "{}" {
		return ""
	}
	return Capabilities(text)
}

// Allow reports whether a client may be asked that.
func (c Capabilities) Allow(method string) bool {
	var can map[string]json.RawMessage
	if c == "" || json.Unmarshal([]byte(c), &can) != nil {
		return false
	}
	name := map[string]string{Elicit: "elicitation", Sample: "sampling", ListRoots: "roots"}[method]
	_, ok := can[name]
	return ok
}

func (c Capabilities) json() string {
	if c == "" {
		return "{}"
	}
	return string(c)
}

// RPCError is an error of JSON-RPC: a tool's, or a client's answer to what a tool asked.
type RPCError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e RPCError) Error() string { return e.Message }

// Said is the JSON-RPC error behind a failure, as the tool wrote it.
func Said(err error) (RPCError, bool) {
	var e *services.Error
	if !errors.As(err, &e) {
		return RPCError{}, false
	}
	details, _ := e.Details.(upstreamDetails)
	if details.said == nil {
		return RPCError{}, false
	}
	return *details.said, true
}

// mostQuestions may be open in one call.
const mostQuestions = 16

// question is what a server asks in the middle of a call.
type question struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
}

func (r *request) can() Capabilities {
	if r.talk == nil {
		return ""
	}
	return r.talk.Can
}

// wantsProgress reports whether somebody hears how far the call is.
func (r *request) wantsProgress() bool { return r.talk != nil && r.talk.Notify != nil }

// told passes on what a server says of a call.
func (r *request) told(method string, params json.RawMessage) {
	switch method {
	case listChanged:
		if r.changed != nil {
			r.changed()
		}
	case notifyProgress, notifyMessage:
		if r.talk != nil && r.talk.Notify != nil {
			r.talk.Notify(method, params)
		}
	}
}

// answer is what a server's question is answered, as the members of a JSON-RPC answer.
// We offered nothing that the client can't do, so all else but a ping is refused;
// without an answer the server might wait for ever.
func (r *request) answer(ctx context.Context, q question) (result json.RawMessage, fault *RPCError) {
	if q.Method == "ping" {
		return json.RawMessage("{}"), nil
	}
	if r.talk == nil || r.talk.Answer == nil || !r.talk.Can.Allow(q.Method) {
		return nil, &RPCError{Code: jsonrpc.CodeMethodNotFound, Message: "not supported by this client"}
	}
	r.life.stand()
	defer r.life.walk()
	result, err := r.talk.Answer(ctx, q.Method, q.Params)
	var own RPCError
	var ours *services.Error
	switch {
	case err == nil && isObject(result) && json.Valid(result):
		return result, nil
	case errors.As(err, &own):
		return nil, &own
	case errors.As(err, &ours):
		return nil, &RPCError{Code: jsonrpc.CodeInternalError, Message: ours.Message}
	}
	return nil, &RPCError{Code: jsonrpc.CodeInternalError, Message: "the client gave no answer"}
}

// level is how detailed a session's log messages are.
type level struct {
	mu   sync.Mutex
	said string // "": as the server likes
}

var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// LogLevel reports how important a level of log messages is, the least important being
// 0; false for one that is none.
func LogLevel(name string) (int, bool) {
	i := slices.Index(levels, name)
	return i, i >= 0
}

// loosen tells a server with sessions which log messages are wanted, if it sends fewer
// so far. Others are not told more than they want: that is for Notify to see to.
func (l *level) loosen(ctx context.Context, sdk *mcp.ClientSession, wanted string) {
	if wanted == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.said != "" && slices.Index(levels, l.said) <= slices.Index(levels, wanted) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	if sdk.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(wanted)}) == nil {
		l.said = wanted
	}
}

// clock lets a call's time stand still while somebody is asked.
type clock struct {
	mu    sync.Mutex
	timer *time.Timer
	end   time.Time
	left  time.Duration
	open  int // questions
}

// stand stops the time.
func (l *life) stand() {
	if l == nil || l.clock == nil {
		return
	}
	c := l.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open++; c.open == 1 {
		c.timer.Stop()
		c.left = max(time.Until(c.end), 0)
	}
}

// walk lets it go on when nobody is asked any more.
func (l *life) walk() {
	if l == nil || l.clock == nil {
		return
	}
	c := l.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open--; c.open == 0 {
		c.end = time.Now().Add(c.left)
		c.timer.Reset(c.left)
	}
}
