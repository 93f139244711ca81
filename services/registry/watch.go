package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Watch looks at the servers of approved tools, each in its turn and one process
// at a time. A server that does not answer costs one of the looks under way for
// lookTime, and waits longer for its next turn.
type Watch struct {
	service *Service
	log     *zap.Logger
}

// NewWatch makes a Watch.
func NewWatch(service *Service, log *zap.Logger) *Watch { return &Watch{service: service, log: log} }

const (
	looksAtOnce = 8
	idle        = time.Second     // between questions whose turn it is
	turn        = 2 * time.Minute // after which somebody else takes it: longer than a look lasts
)

// Run is a workers.Worker's loop.
func (w *Watch) Run(ctx context.Context) error {
	free := make(chan struct{}, looksAtOnce)
	for range looksAtOnce {
		free <- struct{}{}
	}
	var under sync.WaitGroup
	defer under.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-free:
		}
		n := 1 + len(free)
		ids, err := w.service.repository.claim(ctx, turn, n)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for range len(ids) - 1 {
			<-free
		}
		if len(ids) == 0 {
			free <- struct{}{}
		}
		for _, id := range ids {
			under.Go(func() {
				defer func() { free <- struct{}{} }()
				w.lookAt(ctx, id)
			})
		}
		if len(ids) < n {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(idle):
			}
		}
	}
}

// lookAt is one turn. That a server does not answer is noted on the tool.
func (w *Watch) lookAt(ctx context.Context, id uuid.UUID) {
	offer, err := w.service.offer(ctx, id)
	if services.Is(err, services.NotFound) {
		return
	}
	if err == nil {
		_, err, _ = w.service.looks.Do(id.String(), func() (any, error) { return nil, w.service.look(ctx, offer) })
	}
	if err != nil && ctx.Err() == nil && services.Is(err, services.Internal) {
		w.log.Error("a tool's server could not be looked at", zap.Stringer("tool_id", id), zap.Error(err))
	}
}

// look asks an offer's server what it lists, notes how it is, and quarantines
// what differs from what was pinned. Its error is the server's.
func (s *Service) look(ctx context.Context, offer Offer) error {
	begun := time.Now()
	listed, err := s.list(ctx, services.Caller{}, offer.Credentialed(), offer.Definition)
	if offer.Protocol == upstream.ProtocolREST {
		err = s.probe(ctx, offer.Definition)
	}
	l := look{tool: offer.ToolID, version: offer.Version, asked: true, latency: time.Since(begun)}
	var refusal *services.Error
	switch {
	case err == nil, unlisted(offer.Definition, err) && offer.Protocol == upstream.ProtocolJSONRPC:
		l.healthy, l.compared = true, true
	case errors.As(err, &refusal) && refusal.Code == credentials.CodeRequired:
		l.asked, l.latency, l.err = false, 0, "The platform has no credentials of its own to look at the server with"
	default:
		l.err = brief(messageOf(err))
	}
	if ctx.Err() != nil && err != nil { // we stop, or nobody waits: nothing was learnt
		return err
	}
	if err == nil && offer.Pinned && offer.Protocol != upstream.ProtocolREST {
		l.now = storable(compare(pinnedOf(offer), listed))
		happened, err := s.repository.differ(ctx, l)
		if err != nil {
			return err
		}
		s.bus.Publish(happened...)
	}
	if noteErr := s.repository.note(ctx, l, s.every); noteErr != nil {
		return noteErr
	}
	if l.healthy {
		return nil
	}
	return err
}

// pinnedOf is an offer's methods as they were pinned.
func pinnedOf(o Offer) []Method {
	var pinned []Method
	for _, m := range o.Methods {
		if m.Difference != added {
			pinned = append(pinned, m)
		}
	}
	return pinned
}

// probe finds out whether a REST tool's host answers at all; what it answers is
// its own business.
func (s *Service) probe(ctx context.Context, d Definition) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	policy, err := s.policy.With(d.Egress)
	if err != nil {
		return err
	}
	transport := policy.Transport()
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, d.GatewayURL, http.NoBody)
	if err != nil {
		return services.Errorf(services.Invalid, "The tool's address is not usable").Because(err)
	}
	response, err := transport.RoundTrip(request)
	switch {
	case err == nil:
		_ = response.Body.Close()
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return services.Errorf(services.Timeout, "The tool did not answer in time")
	default:
		return services.Errorf(services.Unavailable, "The tool can't be reached").Because(fmt.Errorf("probe: %w", err))
	}
}
