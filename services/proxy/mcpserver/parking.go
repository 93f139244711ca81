package mcpserver

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
)

// parking is where calls at tools with sessions wait for their clients, who know no
// sessions: the answer to a question comes with a request of its own, perhaps to
// another process. The call goes on here, and a lease tells the others that it does.
type parking struct {
	endpoint *Endpoint

	mu     sync.Mutex
	parked map[uuid.UUID]*parked
	work   sync.WaitGroup
}

const (
	parkLease = 10 * time.Second // a parked call counts as lost so long after its process said that it goes on
	parkRenew = 3 * time.Second
)

func newParking(e *Endpoint) *parking {
	p := &parking{endpoint: e, parked: map[uuid.UUID]*parked{}}
	p.work.Go(p.renew)
	return p
}

func (p *parking) close() { p.work.Wait() }

// renew says now and then that the parked calls go on.
func (p *parking) renew() {
	ticker := time.NewTicker(parkRenew)
	defer ticker.Stop()
	for {
		select {
		case <-p.endpoint.ctx.Done():
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		ids := make([]uuid.UUID, 0, len(p.parked))
		for id := range p.parked {
			ids = append(ids, id)
		}
		p.mu.Unlock()
		if len(ids) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(p.endpoint.ctx, parkRenew)
		if err := p.endpoint.repository.park(ctx, ids, parkLease); err != nil && p.endpoint.ctx.Err() == nil {
			p.endpoint.log.Warn("it could not be said that calls go on", zap.Int("calls", len(ids)), zap.Error(err))
		}
		cancel()
	}
}

// parked is a call in whose middle something may be asked.
type parked struct {
	asking  *asking
	caller  services.Caller
	id      uuid.UUID
	number  int           // of rounds so far
	news    chan struct{} // something is asked
	ended   chan struct{} // outcome is set
	outcome outcome
	listens atomic.Pointer[func(method string, params json.RawMessage)] // whoever waits now

	mu    sync.Mutex
	count int // of questions so far
	open  map[string]*question
}

type question struct {
	ask
	answer chan json.RawMessage
}

// enter makes a call that may be parked.
func (p *parking) enter(caller services.Caller) *parked {
	return &parked{asking: p.endpoint.asking, caller: caller, id: uuid.New(), news: make(chan struct{}, 1), ended: make(chan struct{}), open: map[string]*question{}}
}

func (p *parked) notify(to func(method string, params json.RawMessage)) {
	if to != nil {
		p.listens.Store(&to)
	}
}

func (p *parked) told(method string, params json.RawMessage) {
	if to := p.listens.Load(); to != nil {
		(*to)(method, params)
	}
}

// ask waits for what the client answers.
func (p *parked) ask(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	done, err := p.asking.begin(p.caller)
	if err != nil {
		return nil, err
	}
	defer done()
	q := &question{ask{method, append(json.RawMessage(nil), params...)}, make(chan json.RawMessage, 1)}
	p.mu.Lock()
	p.count++
	key := "q" + strconv.Itoa(p.count)
	p.open[key] = q
	p.mu.Unlock()
	p.tell()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, key)
	}()
	select {
	case answer := <-q.answer:
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *parked) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *parked) end(o outcome) {
	p.outcome = o
	close(p.ended)
}

// questions are those without an answer; nil for none.
func (p *parked) questions() map[string]ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) == 0 {
		return nil
	}
	asks := make(map[string]ask, len(p.open))
	for key, q := range p.open {
		asks[key] = q.ask
	}
	return asks
}

// hear takes a client's answers; what it left out is asked again.
func (p *parked) hear(answers json.RawMessage) {
	var by map[string]json.RawMessage
	_ = json.Unmarshal(answers, &by) // what is no object answers nothing
	p.mu.Lock()
	defer p.mu.Unlock()
	left := false
	for key, q := range p.open {
		if answer, ok := by[key]; ok {
			delete(p.open, key)
			q.answer <- answer
			continue
		}
		left = true
	}
	if left {
		p.tell()
	}
}

func answersAddress(id uuid.UUID, number int) string {
	return "answers/" + id.String() + "/" + strconv.Itoa(number)
}

func newsAddress(id uuid.UUID, number int) string {
	return "news/" + id.String() + "/" + strconv.Itoa(number)
}

// park lets a call wait for its client's next request.
func (p *parking) park(ctx context.Context, call *parked) error {
	if err := p.endpoint.repository.park(ctx, []uuid.UUID{call.id}, parkLease); err != nil {
		return err
	}
	p.mu.Lock()
	p.parked[call.id] = call
	p.mu.Unlock()
	answers, leave := p.endpoint.mail.await(answersAddress(call.id, call.number))
	p.work.Go(func() { p.attend(call, answers, leave) })
	return nil
}

// attend sees a parked call to its end, round by round.
func (p *parking) attend(call *parked, answers <-chan []byte, leave func()) {
	defer func() {
		leave()
		p.mu.Lock()
		delete(p.parked, call.id)
		p.mu.Unlock()
		select {
		case <-call.ended:
		case <-p.endpoint.ctx.Done():
			<-call.ended
			call.outcome.close()
		}
	}()
	for {
		select {
		case letter := <-answers:
			call.hear(letter)
		case <-call.ended: // without an answer
		case <-p.endpoint.ctx.Done():
			return
		}
		var is news
		for is.Asks == nil && is.Result == nil && is.Fault == nil {
			select {
			case <-call.ended:
				is = call.outcome.news()
			case <-call.news:
				is.Asks = call.questions()
			case <-p.endpoint.ctx.Done():
				return
			}
		}
		number := call.number
		call.number++
		leave()
		answers, leave = p.endpoint.mail.await(answersAddress(call.id, call.number))
		if !p.say(newsAddress(call.id, number), is) || is.Asks == nil {
			return
		}
	}
}

// say posts a round's news, for as long as its client may wait for it.
func (p *parking) say(address string, is news) bool {
	text := mustJSON(is)
	for {
		ctx, cancel := context.WithTimeout(p.endpoint.ctx, parkRenew)
		err := p.endpoint.mail.keep(ctx, address, text)
		cancel()
		if err == nil {
			return true
		}
		p.endpoint.log.Warn("what came of a call could not be said; it is tried again", zap.Error(err))
		select {
		case <-time.After(time.Second):
		case <-p.endpoint.ctx.Done():
			return false
		}
	}
}

// rejoin brings a parked call its client's answers and waits for the round's news. Kinds:
// Timeout with code OUTCOME_UNKNOWN when the call's process is gone.
func (p *parking) rejoin(ctx context.Context, r round, answers json.RawMessage, notify func(string, json.RawMessage)) (is news, err error) {
	p.mu.Lock()
	if here := p.parked[r.Parked]; here != nil {
		here.notify(notify)
	}
	p.mu.Unlock()
	address := newsAddress(r.Parked, r.Number)
	from, leave := p.endpoint.mail.await(address)
	defer leave()
	if len(answers) == 0 {
		answers = json.RawMessage("{}")
	}
	if err := p.endpoint.mail.post(ctx, answersAddress(r.Parked, r.Number), answers); err != nil {
		return is, err
	}
	alive := time.NewTicker(parkRenew)
	defer alive.Stop()
	for {
		select {
		case text := <-from:
			return is, json.Unmarshal(text, &is)
		case <-alive.C:
			there, err := p.endpoint.repository.parked(ctx, r.Parked)
			if err != nil {
				continue
			}
			text, found, err := p.endpoint.mail.lies(ctx, address) // somebody else may have waited for it too
			switch {
			case err == nil && found:
				return is, json.Unmarshal(text, &is)
			case err == nil && !there:
				return is, lost()
			}
		case <-ctx.Done():
			return is, ctx.Err()
		case <-p.endpoint.ctx.Done():
			return is, errStopping
		}
	}
}
