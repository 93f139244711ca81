package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sony/gobreaker/v2"

	"uaol/services"
)

// Codes of calls that never leave.
const (
	CodeCircuitOpen = "CIRCUIT_OPEN" // the tool has failed too often just now
	CodeBusy        = "TOOL_BUSY"    // it has as many calls under way as it may have
)

// gateKey is which calls wait for each other and fail together.
type gateKey struct {
	tool        uuid.UUID
	url         string
	concurrency int64
}

// gate lets calls to one tool at one address through.
type gate struct {
	places  chan struct{}
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

var errNotJudged = errors.New("the call says nothing of the tool")

func (c *Client) gate(key gateKey) *gate {
	if known, ok := c.gates.GetIfPresent(key); ok {
		return known
	}
	made := &gate{
		places: make(chan struct{}, key.concurrency),
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:     c.limits.Rest,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return int64(counts.ConsecutiveFailures) >= c.limits.Failures },
			IsExcluded:  func(err error) bool { return errors.Is(err, errNotJudged) },
		}),
	}
	made, _ = c.gates.SetIfAbsent(key, made)
	return made
}

// Pass is leave for one call of a tool. Done must be called at its end.
type Pass struct {
	client *Client
	target Target
	gate   *gate
	judge  func(error)
	judged error
	once   sync.Once // it is judged
}

// Admit lets a call begin: it waits for its place among at most so many calls of
// the tool under way (0 stands for the default). Kinds: Unavailable with the codes
// CIRCUIT_OPEN and TOOL_BUSY; nothing has left then.
func (c *Client) Admit(ctx context.Context, target Target, concurrency int) (*Pass, error) {
	key := gateKey{target.ToolID, target.URL, positive(int64(concurrency), c.limits.Concurrency)}
	g := c.gate(key)
	select {
	case g.places <- struct{}{}:
	default:
		if err := c.queue(ctx, g); err != nil {
			return nil, err
		}
	}
	judge, err := g.breaker.Allow()
	if err != nil {
		<-g.places
		c.meter.refuse("circuit_open")
		return nil, services.Errorf(services.Unavailable, "The tool has failed too often just now and is left alone for a moment; try again later").
			WithCode(CodeCircuitOpen)
	}
	return &Pass{client: c, target: target, gate: g, judge: judge, judged: errNotJudged}, nil
}

func (c *Client) queue(ctx context.Context, g *gate) error {
	patience := time.NewTimer(c.limits.QueueTimeout)
	defer patience.Stop()
	select {
	case g.places <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return services.Errorf(services.Unavailable, "the service is stopping, try again")
	case <-patience.C:
	case <-ctx.Done():
	}
	c.meter.refuse("busy")
	return services.Errorf(services.Unavailable, "The tool has as many calls under way as it may have; try again").WithCode(CodeBusy)
}

// With is the pass for another try that carries something else.
func (p *Pass) With(target Target) *Pass {
	p.target = target
	return p
}

// Done ends the call.
func (p *Pass) Done() {
	p.once.Do(func() { p.judge(p.judged) })
	<-p.gate.places
}

// heard: a tool that asks something is well, whatever becomes of the question. How long
// people take to answer says nothing of it, and nobody else waits for them to learn
// whether it works again.
func (p *Pass) heard() { p.once.Do(func() { p.judge(nil) }) }

// talk is what the call's client can be told and asked.
func (p *Pass) talk(of *Talk) *Talk {
	if of == nil || of.Answer == nil {
		return of
	}
	own := *of
	own.Answer = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
		p.heard()
		return of.Answer(ctx, method, params)
	}
	return &own
}

// Tries of a call that nobody has worked on, or that may be repeated, and the
// pause before the second; the pauses double and vary by half.
const (
	maxTries   = 3
	firstPause = 50 * time.Millisecond
)

func (p *Pass) insist(ctx context.Context, ask Ask) (*Answer, error) {
	if err := ask.check(); err != nil {
		return nil, err
	}
	caller := ctx
	ask.Talk = p.talk(ask.Talk)
	ctx, l, err := p.client.begin(ctx, ask.Timeout, ask.Talk != nil && ask.Talk.Answer != nil)
	if err != nil {
		return nil, err
	}
	defer l.end()
	pause := firstPause
	for try := 1; ; try++ {
		answer, err := p.client.call(ctx, l, p.target, &ask)
		p.judged = verdict(caller, err)
		if err == nil || try == maxTries || ctx.Err() != nil || !worthAnother(err, ask.Repeatable) {
			return answer, err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, err
		}
		pause *= 2
	}
}

// worthAnother reports a failure that another try may cure and can't harm.
func worthAnother(err error, repeatable bool) bool {
	var e *services.Error
	if !errors.As(err, &e) {
		return false
	}
	details, _ := e.Details.(upstreamDetails)
	switch {
	case e.Kind == services.Unavailable && (e.Code == "" || e.Code == CodeUnreachable):
		return true // nothing was sent
	case Delivered(err):
		return repeatable
	case e.Kind == services.Upstream:
		return repeatable && (details.Status == http.StatusBadGateway || details.Status == http.StatusServiceUnavailable || details.Status == http.StatusGatewayTimeout)
	}
	return false
}

// verdict is what a call says of the tool's health: nil, a failure, or nothing.
func verdict(caller context.Context, err error) error {
	if err == nil {
		return nil
	}
	var e *services.Error
	if !errors.As(err, &e) || caller.Err() != nil {
		return errNotJudged
	}
	details, _ := e.Details.(upstreamDetails)
	switch e.Kind {
	case services.Unavailable, services.Timeout:
		if e.Code == "" || e.Code == CodeUnreachable || e.Code == services.CodeOutcomeUnknown {
			return err
		}
		return errNotJudged
	case services.Upstream:
		if details.Status >= http.StatusInternalServerError {
			return err
		}
		if e.Code == CodeAddressRefused {
			return errNotJudged
		}
		return nil
	default:
		return errNotJudged
	}
}
