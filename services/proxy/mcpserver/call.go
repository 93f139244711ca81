package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy"
)

// callTool calls a method.
func (q *request) callTool(ctx context.Context) {
	if _, ok := q.shelf.(searched); ok && !q.nested {
		switch q.params.name {
		case searchTools:
			q.searchTools(ctx)
			return
		case callTool:
			if !q.viaCallTool() {
				return
			}
		}
	}
	if q.params.name == "" {
		q.reply.fail(invalidParams("A call needs the name of a tool"))
		return
	}
	if a := q.params.arguments; a != nil && a[0] != '{' && string(a) != "null" {
		q.reply.fail(invalidParams("arguments must be an object"))
		return
	}
	tool, own, err := q.shelf.find(ctx, q.caller, q.params.name)
	if err != nil {
		q.fail(err)
		return
	}
	if tool.areWorkflows() {
		q.runWorkflow(ctx, own)
		return
	}
	q.laid = tool
	q.exchange(ctx, proxy.Exchange{
		CallRequest: proxy.CallRequest{Caller: q.caller, ToolID: tool.ToolID, Method: own, Params: q.params.arguments},
		MaxCost:     q.params.meta.maxCredits,
	})
}

// exchange makes a call or another request of a tool, with all its rounds of questions,
// and answers the client.
func (q *request) exchange(ctx context.Context, in proxy.Exchange) {
	if q.modern {
		if !q.nested {
			in.Header = q.http.Header
		}
		q.exchangeStateless(ctx, in)
		return
	}
	ctx, done := q.endpoint.running.begin(ctx, q)
	defer done()
	in.Talk = &upstream.Talk{Can: q.can, Who: q.caller.Account.String(), Level: q.level, Notify: q.notify(), Answer: q.askOnStream}
	for range mostRounds {
		answer, call, err := q.make(ctx, in)
		if err != nil || !answer.Asks {
			q.finish(in, answer, call, err)
			return
		}
		asks, state := inputOf(answer.Result)
		answer.Close()
		in.State = state
		if in.Input, err = q.gather(ctx, asks); err != nil {
			q.fail(err)
			return
		}
	}
	q.fail(services.Errorf(services.Upstream, "The tool asks again and again"))
}

// make makes a call, or gives the answer of the first one with its key.
func (q *request) make(ctx context.Context, in proxy.Exchange) (*upstream.Answer, *proxy.Call, error) {
	if q.params.meta.key == "" || in.Request != "" {
		return q.endpoint.calls.Exchange(ctx, in)
	}
	answer, call, _, err := q.endpoint.once.Exchange(ctx, q.params.meta.key, in)
	return answer, call, err
}

// mostRounds of questions may one call have.
const mostRounds = 10

// finish answers the client with what came of a call.
func (q *request) finish(in proxy.Exchange, answer *upstream.Answer, call *proxy.Call, err error) {
	result, fault := q.outcome(in, answer, call, err)
	if fault != nil {
		q.reply.fail(fault)
		return
	}
	q.reply.result(result)
}

// outcome is what came of a call as its client gets it.
func (q *request) outcome(in proxy.Exchange, answer *upstream.Answer, call *proxy.Call, err error) ([]byte, *upstream.RPCError) {
	if err == nil {
		defer answer.Close()
		result := finished(q.laid.readdressed(answer.Result), q.modern, "complete", call)
		if q.modern && in.Request == "resources/read" && !has(result, "ttlMs") {
			result = append(append(result[:len(result)-1], cacheable(0)...), '}')
		}
		return result, nil
	}
	if text := asResult(err); text != "" && in.Request == "" {
		return finished(said(text, true), q.modern, "complete", call), nil
	}
	return nil, inEra(faultOf(err, call), q.modern)
}

// notify passes on what a tool tells while it is at work, as far as the client wants to
// hear it; nil where it wants nothing.
func (q *request) notify() func(method string, params json.RawMessage) {
	if !q.reply.streams || q.params.meta.progress == nil && q.level == "" {
		return nil
	}
	least, _ := upstream.LogLevel(q.level)
	return func(method string, params json.RawMessage) {
		switch method {
		case "notifications/progress":
			if q.params.meta.progress == nil {
				return
			}
			params = with(params, "progressToken", q.params.meta.progress)
		case "notifications/message":
			var m struct {
				Level string `json:"level"`
			}
			if q.level == "" || json.Unmarshal(params, &m) != nil {
				return
			}
			if level, ok := upstream.LogLevel(m.Level); !ok || level < least {
				return
			}
		}
		_ = q.reply.tell("", method, params) // whoever left does not mind
	}
}

// with is an object with a member in the place of what it had under that name.
func with(object json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	rest := without(object, name)
	whole := make([]byte, 0, len(rest)+len(name)+len(value)+8)
	whole = append(append(append(append(whole, `{"`...), name...), `":`...), value...)
	if len(rest) > 2 {
		whole = append(append(whole, ','), rest[1:]...)
		return whole
	}
	return append(whole, '}')
}

// inputOf reads what a tool of the stateless protocol asks, by its keys, and what it
// wants back with the answers.
func inputOf(result json.RawMessage) (asks map[string]ask, state json.RawMessage) {
	upstream.Members(result, func(key, value []byte) {
		switch string(key) {
		case "inputRequests":
			_ = json.Unmarshal(value, &asks) // what is no question is not asked
		case "requestState":
			state = bytes.Clone(value)
		}
	})
	return asks, state
}

// ask is a question of a tool's.
type ask struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// gather asks a client of an older protocol, with requests on its stream, what a tool of
// the stateless one asks in its answer.
func (q *request) gather(ctx context.Context, asks map[string]ask) (json.RawMessage, error) {
	answers := make(map[string]json.RawMessage, len(asks))
	var mu sync.Mutex
	var all sync.WaitGroup
	var fault error
	for key, a := range asks {
		if !q.can.Allow(a.Method) {
			return nil, services.Errorf(services.Upstream, "The tool asks for something that this client can't do: %.100s", a.Method)
		}
		all.Go(func() {
			answer, err := q.askOnStream(ctx, a.Method, a.Params)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fault = services.Errorf(services.Upstream, "The client did not answer what the tool asked: %s", err)
				return
			}
			answers[key] = answer
		})
	}
	all.Wait()
	if fault != nil {
		return nil, fault
	}
	return json.Marshal(answers)
}

// askOnStream asks a client of an older protocol with a request on the stream of its
// call. The answer may come to another process.
func (q *request) askOnStream(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	done, err := q.endpoint.asking.begin(q.caller)
	if err != nil {
		return nil, err
	}
	defer done()
	id := uuid.New()
	address := questionAddress(id)
	answer, leave := q.endpoint.mail.await(address)
	defer leave()
	if err := q.reply.tell(q.endpoint.questionID(q.caller, id), method, params); err != nil {
		return nil, err
	}
	select {
	case letter := <-answer:
		return readAnswer(letter)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-q.endpoint.ctx.Done():
		return nil, errStopping
	}
}

var errStopping = services.Errorf(services.Unavailable, "The service is stopping, try again")

func questionAddress(id uuid.UUID) string { return "question/" + id.String() }

// letterOf is a client's answer on its way to the call that asked.
type letterOf struct {
	Result json.RawMessage    `json:"result,omitempty"`
	Fault  *upstream.RPCError `json:"error,omitempty"`
}

func readAnswer(text []byte) (json.RawMessage, error) {
	var l letterOf
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	if l.Fault != nil {
		return nil, *l.Fault
	}
	return l.Result, nil
}

// answered takes a client's answer to what it was asked.
func (q *request) answered(ctx context.Context) {
	id, ok := q.endpoint.questionOf(q.caller, q.id)
	if !ok {
		q.reply.failWith(http.StatusBadRequest, invalidRequest("The message answers nothing that was asked"))
		return
	}
	l := letterOf{Result: q.result}
	if q.result == nil {
		l.Fault = &upstream.RPCError{}
		if json.Unmarshal(q.message.fault, l.Fault) != nil {
			q.reply.failWith(http.StatusBadRequest, invalidRequest("The error is not JSON-RPC's"))
			return
		}
	}
	if err := q.endpoint.mail.post(ctx, questionAddress(id), mustJSON(l)); err != nil {
		q.fail(err)
		return
	}
	q.accepted()
}
