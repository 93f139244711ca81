package mcpserver

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy"
)

// exchangeStateless makes a call for a client of the stateless protocol. What the tool
// asks is the answer, and the client comes again with what it was asked: to a tool of
// the same protocol that is a call of its own, while a tool with sessions waits in the
// middle of the first.
func (q *request) exchangeStateless(ctx context.Context, in proxy.Exchange) {
	about := func() string { return digestOf(cmp.Or(in.Request, in.Method), in.Subject, in.Params) } // of few calls
	in.Input = q.params.input
	if q.params.state != "" {
		r, err := q.endpoint.openRound(q.caller, q.params.state, in.ToolID, about())
		if err != nil {
			q.fail(err)
			return
		}
		if r.Parked != uuid.Nil {
			q.rejoin(ctx, r)
			return
		}
		in.State = r.State
	}
	in.Talk = &upstream.Talk{Can: q.can, Who: q.caller.Account.String(), Level: q.level, Notify: q.notify()}
	if q.can == "" { // nothing can be asked in the middle
		answer, call, err := q.make(ctx, in)
		q.finishRound(in, about, answer, call, err)
		return
	}
	p := q.endpoint.parking.enter(q.caller)
	if in.Talk.Answer = p.ask; in.Talk.Notify != nil {
		p.notify(in.Talk.Notify)
		in.Talk.Notify = p.told
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(q.endpoint.ctx, cancel)
	q.endpoint.work.Go(func() {
		defer unhook()
		defer cancel()
		answer, call, err := q.make(own, in)
		p.end(outcome{q, in, answer, call, err})
	})
	select {
	case <-p.ended:
		o := p.outcome
		q.finishRound(in, about, o.answer, o.call, o.err)
	case <-p.news:
		asks := p.questions()
		if err := q.endpoint.parking.park(ctx, p); err != nil {
			cancel()
			q.fail(err)
			return
		}
		q.reply.result(q.asking(asks, round{Tool: in.ToolID, About: about(), Parked: p.id}))
	case <-ctx.Done(): // the client left
		cancel()
		<-p.ended
		p.outcome.close()
	}
}

// finishRound answers a client of the stateless protocol with what came of a call that
// is over, if only for this round.
func (q *request) finishRound(in proxy.Exchange, about func() string, answer *upstream.Answer, call *proxy.Call, err error) {
	if err != nil || !answer.Asks {
		q.finish(in, answer, call, err)
		return
	}
	defer answer.Close()
	asks, state := inputOf(answer.Result)
	q.reply.result(q.asking(asks, round{Tool: in.ToolID, About: about(), State: state}))
}

// asking is the result that asks the client for something.
func (q *request) asking(asks map[string]ask, next round) []byte {
	members := `{"requestState":"` + q.endpoint.sealRound(q.caller, next) + `"`
	if len(asks) > 0 {
		members += `,"inputRequests":` + string(mustJSON(asks))
	}
	return spliced(json.RawMessage(members+"}"), true, "input_required", []byte(`"`+metaServer+`":`+serverInfo))
}

// rejoin gives a call that goes on at a tool with sessions what it waits for, wherever
// it goes on, and waits for what comes of it.
func (q *request) rejoin(ctx context.Context, r round) {
	news, err := q.endpoint.parking.rejoin(ctx, r, q.params.input, q.notify())
	switch {
	case err != nil:
		q.fail(err)
	case news.Fault != nil:
		q.reply.fail(news.Fault)
	case news.Asks != nil:
		r.Number++
		q.reply.result(q.asking(news.Asks, r))
	default:
		q.reply.result(news.Result)
	}
}

// outcome is what came of a call.
type outcome struct {
	of     *request
	in     proxy.Exchange
	answer *upstream.Answer
	call   *proxy.Call
	err    error
}

func (o outcome) close() {
	if o.answer != nil {
		o.answer.Close()
	}
}

// news is what came of a round of a parked call, on its way to the client.
type news struct {
	Asks   map[string]ask     `json:"asks,omitempty"`
	Result json.RawMessage    `json:"result,omitempty"`
	Fault  *upstream.RPCError `json:"error,omitempty"`
}

// news is the outcome as its client gets it.
func (o outcome) news() news {
	result, fault := o.of.outcome(o.in, o.answer, o.call, o.err)
	return news{Result: result, Fault: fault}
}

// lost is told of a call whose process is gone.
func lost() error {
	return services.Errorf(services.Timeout, "The process that made the call is gone; whether the tool did its work is unknown. Look before you call it again").WithCode(services.CodeOutcomeUnknown)
}
