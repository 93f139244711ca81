package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"uaol/providers/api"
	"uaol/providers/telemetry"
	"uaol/services"
)

// Call runs an operation that may be sent twice: it reads, or it carries an id
// that makes a repetition harmless.
func Call[I, O any](ctx context.Context, p *Peer, operation string, in I) (O, error) {
	return call[I, O](ctx, p, operation, in, true)
}

// CallOnce runs an operation that is sent again only when it can't have arrived.
func CallOnce[I, O any](ctx context.Context, p *Peer, operation string, in I) (O, error) {
	return call[I, O](ctx, p, operation, in, false)
}

// callTimeout bounds a call with all its attempts, whatever time its caller has.
const callTimeout = headerTimeout + tooLate

// errKeep is in errors that do not speak against an address.
var errKeep = errors.New("it answered")

func call[I, O any](ctx context.Context, p *Peer, operation string, in I, repeatable bool) (out O, err error) {
	if telemetry.On(ctx) {
		var span telemetry.Span
		ctx, span = telemetry.Call(ctx, string(p.service)+" "+operation)
		defer func() { span.End(err) }()
	}
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var verdict error // the service's own
	sent, err := p.try(ctx, func() bool { return repeatable }, func(a *address) error {
		status, answer, err := p.post(ctx, a, operation, body)
		if err != nil {
			return err
		}
		if verdict = p.decode(status, answer, &out); !repeatable && errors.Is(verdict, api.ErrForeign) {
			return fmt.Errorf("%w: %w", errKeep, verdict)
		}
		return nil
	})
	switch {
	case err == nil:
		return out, verdict
	case sent && !repeatable:
		return out, services.Errorf(services.Timeout, "The %s service did not answer; the outcome is unknown", p.service).
			WithCode(services.CodeOutcomeUnknown).Because(err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return out, services.Errorf(services.Timeout, "The %s service took too long", p.service).Because(err)
	}
	return out, services.Errorf(services.Unavailable, "The %s service cannot be reached; try again", p.service).Because(err)
}

func (p *Peer) post(ctx context.Context, a *address, operation string, body []byte) (int, []byte, error) {
	at := a.url.String() + "/internal/" + string(p.service) + "/" + operation
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	token, err := p.tokens.Sign(p.service, services.CallerFrom(ctx))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := a.send(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (p *Peer) decode(status int, answer []byte, out any) error {
	if status >= 200 && status < 300 {
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("a service of ours answered what cannot be read: %w", err)
		}
		return nil
	}
	err := api.ReadError(status, answer)
	var e *services.Error
	if errors.As(err, &e) && e.Kind == services.Unauthenticated && e.Message == refused {
		// It is this process that is not believed, not its caller: to answer
		// Unauthenticated would tell the caller to sign in again.
		return services.Errorf(services.Unavailable, "The %s service cannot be used; try again", p.service).
			Because(errors.New("it refuses our token or certificate: UAOL_SERVICE_SECRET and UAOL_PEER_TLS_CA must be the same in every process, and clocks right"))
	}
	return err
}
