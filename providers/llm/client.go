package llm

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	openai "github.com/sashabaranov/go-openai"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/services"
)

// Limits of an answer and of patience.
const (
	attempts    = 3
	firstPause  = 500 * time.Millisecond
	longestWait = 20 * time.Second // a provider that wants a longer one is not asked again
	maxAnswer   = 4 << 20          // bytes of text and arguments
	maxWire     = 32 << 20         // bytes of what they come in
	maxCalls    = 128              // of tools, in one answer
	maxFault    = 64 << 10         // bytes of an error
)

// Client asks models. It is safe for concurrent use.
type Client struct {
	doors            map[Provider]door
	silence, timeout time.Duration
	meter            *meter // nil where nobody counts
	pause            func(ctx context.Context, d time.Duration) error
}

// door is the way to one provider.
type door struct {
	Endpoint
	http *http.Client
}

// open makes the way to an address. One that an operator set is open wherever it is.
func open(e Endpoint, policy *egress.Policy) (door, error) {
	wider, err := policy.With(e.exceptions())
	if err != nil {
		return door{}, &config.Fault{Variable: e.Variable, Value: e.URL, Want: "a URL with the name or the address of a host"}
	}
	return door{e, &http.Client{
		Transport: wider.Transport(),
		// A key goes nowhere but to the address that it was given for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// New makes a Client. Addresses that an operator set are open to it wherever they
// are; nobody else can name one.
func New(cfg Config, policy *egress.Policy) (*Client, error) {
	c := &Client{doors: map[Provider]door{}, silence: cfg.Silence, timeout: cfg.Timeout, pause: pause}
	for _, e := range cfg.endpoints() {
		door, err := open(e, policy)
		if err != nil {
			return nil, err
		}
		c.doors[e.Provider] = door
	}
	return c, nil
}

// Timeout is how long a whole answer may take.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Close lets go of idle connections.
func (c *Client) Close() {
	for _, d := range c.doors {
		d.http.CloseIdleConnections()
	}
}

// Complete asks a model and waits for the whole answer. Kinds: Invalid for a
// request that the provider does not take, with a code (see the Code constants);
// Limited, with a hint when to come back; Upstream, Unavailable and Timeout when
// there was no answer, after a few attempts.
func (c *Client) Complete(ctx context.Context, in Request) (Answer, error) {
	return c.ask(ctx, in, func(ctx context.Context, w *wire) (Answer, bool, error) {
		answer, err := w.complete(ctx)
		return answer, false, err
	})
}

// Stream asks a model and hands its text on as it comes; the answer has all of
// it. An error of each ends it and is returned as it is. Kinds as for Complete;
// once something was handed on there is no other attempt, and the answer beside an
// error is what came until then.
func (c *Client) Stream(ctx context.Context, in Request, each func(Delta) error) (Answer, error) {
	return c.ask(ctx, in, func(ctx context.Context, w *wire) (Answer, bool, error) {
		return w.stream(ctx, each)
	})
}

// ask makes attempts until one is answered, is refused for good, or has begun.
func (c *Client) ask(ctx context.Context, in Request, once func(context.Context, *wire) (Answer, bool, error)) (Answer, error) {
	door, err := c.check(in)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTooLong)
	defer cancel()
	ctx, done := c.asked(ctx, in)
	var answer Answer
	err = insist(ctx, c.pause, func() *failure {
		w := newWire(door, in, c.silence)
		var begun bool
		var err error
		if answer, begun, err = once(ctx, w); err == nil {
			return nil
		}
		f := w.judge(ctx, err)
		f.again = f.again && !begun
		return f
	})
	done(answer, err)
	return answer, err
}

// insist makes attempts until one has no failure, or another can't help.
func insist(ctx context.Context, pause func(context.Context, time.Duration) error, once func() *failure) error {
	for attempt := 1; ; attempt++ {
		f := once()
		if f == nil {
			return nil
		}
		if !f.again || attempt == attempts {
			return f.err
		}
		wait := f.after
		if wait == 0 {
			wait = firstPause << (attempt - 1)
			wait += rand.N(wait / 4) // so that callers refused together do not return together
		}
		if wait > longestWait || pause(ctx, wait) != nil {
			return f.err
		}
	}
}

func (c *Client) check(in Request) (door, error) {
	door, ok := c.doors[in.Provider]
	switch {
	case !ok:
		return door, services.Errorf(services.Invalid, "There is no model provider %.50q; it is one of openai, gemini and anthropic", in.Provider)
	case in.Model == "":
		return door, services.Errorf(services.Invalid, "The request names no model")
	case len(in.Messages) == 0:
		return door, services.Errorf(services.Invalid, "The request has no messages")
	}
	for i, m := range in.Messages {
		switch {
		case m.Role == User && m.Content != "",
			m.Role == Assistant && (m.Content != "" || len(m.ToolCalls) > 0),
			m.Role == ToolRole && m.ToolCallID != "":
		default:
			return door, services.Errorf(services.Invalid, "Message %d is empty, has an unknown role or answers no tool call", i)
		}
	}
	return door, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handed marks an error as the caller's own.
type handed struct{ error }

func (h handed) Unwrap() error { return h.error }

// apiError reports an error that the library read out of a stream.
func apiError(err error) (e *openai.APIError, ok bool) {
	return e, errors.As(err, &e)
}
