package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"uaol/services"
	"uaol/services/registry"
)

// views lets tools' servers be looked at again: before a call with a stale view,
// and after one that shows that the server has other methods now.
type views struct {
	catalog registry.Catalog
	log     *zap.Logger
	age     time.Duration
	looks   singleflight.Group
	tried   *otter.Cache[uuid.UUID, struct{}] // looked at in vain just now

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

const (
	lookFor  = 5 * time.Second  // that a look may take
	lookNext = 10 * time.Second // after one in vain
)

func newViews(catalog registry.Catalog, age time.Duration, log *zap.Logger) *views {
	return &views{catalog: catalog, age: age, log: log, tried: otter.Must(&otter.Options[uuid.UUID, struct{}]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[uuid.UUID, struct{}](lookNext),
	})}
}

func (v *views) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.work.Wait()
	v.tried.StopAllGoroutines()
}

// fresh gives the offer as its server has it, if what is known is old. A look
// that fails changes nothing: whether the tool can be reached the call will show.
// Kinds NotFound and Conflict when the offer counts no more.
func (v *views) fresh(ctx context.Context, offer registry.Offer) (registry.Offer, error) {
	if !offer.Pinned || time.Since(offer.CheckedAt) < v.age {
		return offer, nil
	}
	if _, vain := v.tried.GetIfPresent(offer.ToolID); vain {
		return offer, nil
	}
	seen, err := v.look(ctx, registry.InspectRequest{ToolID: offer.ToolID, Version: offer.Version})
	switch services.KindOf(err) {
	case "":
		return seen, nil
	case services.NotFound, services.Conflict:
		return registry.Offer{}, err
	}
	return offer, nil
}

// look asks once for all who want it at the same time.
func (v *views) look(ctx context.Context, in registry.InspectRequest) (registry.Offer, error) {
	done := v.looks.DoChan(in.ToolID.String()+" "+in.Method, func() (any, error) {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookFor)
		defer cancel()
		offer, err := v.catalog.Inspect(own, in)
		if err != nil {
			v.tried.Set(in.ToolID, struct{}{})
			v.log.Info("a tool's server could not be looked at", zap.Stringer("tool_id", in.ToolID), zap.Error(err))
		}
		return offer, err
	})
	select {
	case r := <-done:
		offer, _ := r.Val.(registry.Offer)
		return offer, r.Err
	case <-ctx.Done():
		return registry.Offer{}, services.Errorf(services.Unavailable, "The call was given up")
	}
}

// later looks in the background.
func (v *views) later(ctx context.Context, in registry.InspectRequest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	v.work.Go(func() { _, _ = v.look(context.WithoutCancel(ctx), in) })
}
