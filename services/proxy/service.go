package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/registry"
)

// Service is the proxy where it runs; it is an Invoker.
type Service struct {
	catalog registry.Catalog
	meter   billing.Meter
	client  *upstream.Client
	log     *zap.Logger
}

// NewService makes a Service.
func NewService(catalog registry.Catalog, meter billing.Meter, client *upstream.Client, log *zap.Logger) *Service {
	return &Service{catalog: catalog, meter: meter, client: client, log: log}
}

// callHold is how long a direct call's credits stay held when nobody ends the
// hold: longer than any call lasts.
const callHold = 5 * time.Minute

// Call implements Invoker.
func (s *Service) Call(ctx context.Context, in CallRequest) (CallResult, error) {
	if in.Method == "" {
		return CallResult{}, services.Errorf(services.Invalid, "Method is required")
	}
	if in.Params = bytes.TrimSpace(in.Params); len(in.Params) == 0 || bytes.Equal(in.Params, []byte("null")) {
		in.Params = json.RawMessage("{}")
	}
	if in.Params[0] != '{' {
		return CallResult{}, services.Faults(services.Fault{Path: "body.params", Message: "must be an object"})
	}
	tool, err := s.tool(ctx, in.ToolID)
	if err != nil {
		return CallResult{}, err
	}
	if in.Version != 0 && in.Version != tool.Version {
		return CallResult{}, services.Errorf(services.Conflict, "The tool %s has changed since (version %d, now %d)", tool.Name, in.Version, tool.Version)
	}
	if in.Prepaid != nil || tool.Price == 0 {
		return s.send(ctx, tool, in)
	}
	return s.charged(ctx, tool, in)
}

// charged pays for a direct call.
func (s *Service) charged(ctx context.Context, tool registry.Tool, in CallRequest) (CallResult, error) {
	id := uuid.Must(uuid.NewV7())
	if in.Operation == "" {
		in.Operation = id.String()
	}
	if _, err := s.meter.Hold(ctx, billing.HoldRequest{
		ID: id, Caller: in.Caller, Owner: billing.OwnerCall, Amount: tool.Price, Lifetime: callHold,
	}); err != nil {
		s.undo(ctx, id, err)
		return CallResult{}, err
	}
	result, err := s.send(ctx, tool, in)
	// The caller may be gone; the credits are not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if (err == nil && !result.Failed) || upstream.Delivered(err) {
		s.end(ctx, id, func() error {
			_, err := s.meter.Settle(ctx, billing.SettleRequest{HoldID: id, Charges: []billing.Charge{{Operation: id.String(), Amount: tool.Price}}})
			return err
		})
	} else {
		s.end(ctx, id, func() error {
			_, err := s.meter.Release(ctx, billing.ReleaseRequest{HoldID: id})
			return err
		})
	}
	return result, err
}

// undo releases a hold that may have been made although the answer says
// otherwise: the sweeper would take it for a call's and settle it.
func (s *Service) undo(ctx context.Context, id uuid.UUID, reason error) {
	switch services.KindOf(reason) {
	case services.Insufficient, services.Conflict, services.Invalid:
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := s.meter.Release(ctx, billing.ReleaseRequest{HoldID: id}); err != nil {
		s.log.Warn("a hold that may have been made could not be released", zap.Stringer("hold", id), zap.Error(err))
	}
}

// end ends a hold, trying for as long as its context lasts.
func (s *Service) end(ctx context.Context, id uuid.UUID, f func() error) {
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.log.Error("a hold could not be ended; the sweeper will settle it", zap.Stringer("hold", id), zap.Error(err))
			return
		case <-time.After(pause):
		}
	}
}

func (s *Service) send(ctx context.Context, tool registry.Tool, in CallRequest) (CallResult, error) {
	var meta map[string]any
	if in.Operation != "" {
		meta = map[string]any{"idempotencyKey": in.Operation}
	}
	result, err := s.client.Call(ctx, target(tool), in.Method, in.Params, meta)
	if err != nil {
		return CallResult{}, err
	}
	var said struct {
		IsError bool `json:"isError"`
	}
	if err := json.Unmarshal(result, &said); err != nil {
		return CallResult{}, services.Errorf(services.Upstream, "The tool's answer is not a tools/call result").Because(err)
	}
	return CallResult{Result: result, Failed: said.IsError}, nil
}

// Methods implements Invoker.
func (s *Service) Methods(ctx context.Context, in MethodsRequest) ([]upstream.Method, error) {
	tool, err := s.tool(ctx, in.ToolID)
	if err != nil {
		return nil, err
	}
	return s.client.List(ctx, target(tool))
}

func (s *Service) tool(ctx context.Context, id uuid.UUID) (registry.Tool, error) {
	tools, err := s.catalog.Tools(ctx, registry.ToolsRequest{IDs: []uuid.UUID{id}})
	if err != nil {
		return registry.Tool{}, err
	}
	return registry.Callable(tools, id)
}

func target(t registry.Tool) upstream.Target {
	return upstream.Target{ToolID: t.ID, URL: t.GatewayURL, Protocol: t.Protocol, Version: t.Version}
}
