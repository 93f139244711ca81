package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"uaol/services"
)

// Events are server-sent events as they are written. They are safe for concurrent use.
type Events struct {
	*Stream
	gin *gin.Context
}

// Send writes an event; data becomes JSON. An error means that nobody listens.
func (e *Events) Send(event string, data any) error { return e.SendAs("", event, data) }

// SendAs is Send for an event with an id, which a client that was cut off comes back with
// as Last-Event-ID.
func (e *Events) SendAs(id, event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return e.Write([]byte(id + "event: " + event + "\ndata: " + string(text) + "\n\n"))
}

// Fail sends an error, as the event "error", in the contract's words.
func (e *Events) Fail(err error) error {
	body := toBody(err)
	if body.status >= http.StatusInternalServerError {
		_ = e.gin.Error(err) // the access log tells it
	}
	return e.Send("error", body)
}

// Streamer is the function of an operation that answers with events. Its error is an
// ordinary answer as long as no event was sent, and the event "error" after that.
type Streamer[I any] func(ctx context.Context, caller services.Caller, in *I, out *Events) error

// GetStream declares a GET operation that answers with server-sent events.
func GetStream[I any](path, summary string, h Streamer[I], options ...Option) Operation {
	return stream(http.MethodGet, path, summary, h, options)
}

// PostStream declares a POST operation that answers with server-sent events.
func PostStream[I any](path, summary string, h Streamer[I], options ...Option) Operation {
	return stream(http.MethodPost, path, summary, h, options)
}

func stream[I any](method, path, summary string, h Streamer[I], options []Option) Operation {
	op := newOperation(method, path, summary, options)
	op.register = func(op *Operation, api huma.API) {
		described := op.huma()
		described.Responses = map[string]*huma.Response{"200": {
			Description: "Server-sent events",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}}
		huma.Register(api, described, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
			return &huma.StreamResponse{Body: func(c huma.Context) { serveEvents(c, in, h) }}, nil
		})
	}
	return op
}

func serveEvents[I any](c huma.Context, in *I, h Streamer[I]) {
	r, ok := c.(*requestContext)
	if !ok {
		return
	}
	out := &Events{NewStream(r.gin.Writer, r.gin.Request), r.gin}
	ctx, cancel := context.WithCancel(r.gin.Request.Context())
	stopping := Stopping(ctx)
	if r.gin.Request.Method == http.MethodGet { // its client comes back with the last id that it has heard
		defer context.AfterFunc(stopping, cancel)()
	}
	var beating sync.WaitGroup
	beating.Go(func() { out.Beat(ctx) })
	err := h(ctx, services.CallerFrom(ctx), in, out)
	cancel()
	beating.Wait() // nobody writes after the handler has returned
	defer out.Close()
	switch {
	case err == nil:
	case stopping.Err() != nil && errors.Is(err, context.Canceled):
		_ = out.Write([]byte(": come back\n\n"))
	case out.Begun():
		_ = out.Fail(err) // whoever left does not mind
	default:
		Fail(r.gin, err)
	}
}
