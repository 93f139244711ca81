package proxy

import (
	"bytes"
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
)

// Service is the proxy where it runs; it is an Invoker.
type Service struct {
	catalog registry.Catalog
	till    Till
	client  *upstream.Client
	limiter Limiter
	digests *digests
	schemas *schemas
	views   *views
	log     *zap.Logger
}

// Limiter counts calls.
type Limiter interface {
	// Take counts a call of an offer. Kind Limited, with the seconds to wait.
	Take(ctx context.Context, caller services.Caller, offer registry.Offer) error
}

// DigestKey is what the digests of arguments are made with.
type DigestKey []byte

// NewService makes a Service, which must be closed. Without a limiter nobody is
// limited.
func NewService(catalog registry.Catalog, till Till, client *upstream.Client, limiter Limiter, digests DigestKey, cfg Config, log *zap.Logger) *Service {
	return &Service{
		catalog: catalog, till: till, client: client, limiter: limiter, digests: newDigests(digests),
		schemas: newSchemas(), views: newViews(catalog, cfg.View, log), log: log,
	}
}

// Close waits for what goes on in the background.
func (s *Service) Close() {
	s.views.close()
	s.schemas.close()
}

// Call implements Invoker.
func (s *Service) Call(ctx context.Context, in CallRequest) (CallResult, error) {
	answer, err := s.call(ctx, in)
	if err != nil {
		return CallResult{}, err
	}
	defer answer.Close()
	return CallResult{Result: bytes.Clone(answer.Result), Failed: answer.Failed}, nil
}

// call makes a call, charges and records it. The answer must be closed.
func (s *Service) call(ctx context.Context, in CallRequest) (*upstream.Answer, error) {
	answer, _, err := s.Exchange(ctx, Exchange{CallRequest: in})
	return answer, err
}

// Exchange makes a call, or another request, charges and records it. The answer must be
// closed; the record is there as soon as the tool was found, also with an error. Kinds
// as for Invoker.
func (s *Service) Exchange(ctx context.Context, in Exchange) (*upstream.Answer, *Call, error) {
	begun := time.Now()
	if in.Method == "" && in.Request == "" {
		return nil, nil, services.Errorf(services.Invalid, "Method is required")
	}
	given, err := readArguments(in.Params)
	if err != nil {
		return nil, nil, err
	}
	offer, err := s.offer(ctx, in.Caller, in.ToolID)
	if err != nil {
		return nil, nil, err
	}
	if in.Version != 0 && in.Version != offer.Version {
		return nil, nil, services.Errorf(services.Conflict, "The tool %s has changed since (version %d, now %d)", offer.Name, in.Version, offer.Version)
	}
	if s.limiter != nil { // who is over a limit is not recorded: a flood must not fill the log
		if err := s.limiter.Take(ctx, in.Caller, offer); err != nil {
			return nil, nil, err
		}
	}
	call := s.record(ctx, in, offer, given, begun)
	answer, err := s.attempt(ctx, in, offer, given, call)
	if call.Latency = time.Since(begun); err != nil {
		call.Code = api.CodeOf(err)
	}
	s.till.Close(ctx, call)
	return answer, call, err
}

// record begins a call's record.
func (s *Service) record(ctx context.Context, in Exchange, offer registry.Offer, given arguments, begun time.Time) *Call {
	id := in.ID
	if id == uuid.Nil {
		id = uuid.Must(uuid.NewV7())
	}
	call := &Call{
		ID: id, Organization: in.Caller.Organization, Account: in.Caller.Account, Caller: in.Caller,
		ToolID: offer.ToolID, Version: offer.Version, Method: shortened(cmp.Or(in.Request, in.Method)), Digest: s.digests.of(given), Shape: given.shape(),
		Outcome: Refused, TraceID: services.RequestID(ctx), At: begun,
	}
	if in.Caller.Key != uuid.Nil {
		key := in.Caller.Key
		call.Key = &key
	}
	if job, step, ok := strings.Cut(in.Operation, "/"); ok && in.Prepaid != nil {
		if id, err := uuid.Parse(job); err == nil {
			call.JobID, call.Step = &id, shortened(step)
		}
	}
	return call
}

// attempt makes a recorded call and says in the record how it ended. Everything
// that can be refused is refused before credits are held, and those before
// anything leaves.
func (s *Service) attempt(ctx context.Context, in Exchange, offer registry.Offer, given arguments, call *Call) (*upstream.Answer, error) {
	offer, err := s.views.fresh(ctx, offer)
	if err != nil {
		return nil, err
	}
	checked, err := s.check(ctx, in, offer, given, call)
	if err != nil {
		return nil, err
	}
	method, carried, whole, schemas := checked.method, checked.carried, checked.arguments, checked.schemas
	target := offer.Target(carried)
	limits := registry.Limits{}
	if offer.Limits != nil {
		limits = *offer.Limits
	}
	pass, err := s.client.Admit(ctx, target, limits.Concurrency)
	if err != nil {
		return nil, err
	}
	defer pass.Done()
	if in.Prepaid == nil {
		if err := s.till.Open(ctx, call, checked.price); err != nil {
			return nil, err
		}
	}
	if in.Operation == "" {
		in.Operation = call.ID.String()
	}
	call.BytesOut = int64(len(whole.raw))
	again := look(offer, "")
	ask := upstream.Ask{
		Method: in.Method, Arguments: whole.raw, Key: cmp.Or(in.Key, in.Operation), Mirrors: schemas.mirrors,
		Input: in.Input, State: in.State, Talk: in.veiled(carried),
		Repeatable: in.Request != "" || Repeatable([]upstream.Method{method.Method}, in.Method),
		Timeout:    time.Duration(limits.TimeoutMS) * time.Millisecond,
		Changed:    func() { s.views.later(ctx, again) },
	}
	if in.Request != "" {
		ask.Request, ask.Params, ask.Subject, ask.Arguments, ask.Key = in.Request, whole.raw, in.Subject, nil, ""
	}
	answer, err := pass.Call(ctx, ask)
	if offer.OAuth != nil && upstream.Unauthorized(err) {
		answer, carried, err = s.withAnother(ctx, in.Caller, offer, carried, pass, ask)
	}
	if scopes, ok := upstream.Insufficient(err); ok && offer.Credentialed().Consents() {
		err = offer.Credentialed().Wants(scopes)
	}
	if said, ok := upstream.Said(err); ok {
		call.Said = veiledError(carried, said)
	}
	err = carried.VeilError(err)
	if err == nil {
		call.BytesIn = answer.Received
		if err = schemas.gives(answer); err != nil {
			answer.Close()
		} else if veiled, found := carried.Veil(answer.Result); found {
			answer.Result = veiled
		}
	}
	switch {
	case upstream.Delivered(err):
		call.Outcome = Unknown
	case err != nil || answer.Failed:
		call.Outcome = Failed
	case answer.Asks:
		call.Outcome = Asked
	default:
		call.Outcome = Succeeded
	}
	if offer.Pinned && in.Request == "" && upstream.UnknownMethod(err) {
		s.views.later(ctx, look(offer, in.Method))
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func look(offer registry.Offer, method string) registry.InspectRequest {
	return registry.InspectRequest{ToolID: offer.ToolID, Version: offer.Version, Method: method}
}

// Methods implements Invoker: what is pinned, except what is in quarantine. The
// server is asked only where nothing is pinned.
func (s *Service) Methods(ctx context.Context, in MethodsRequest) ([]upstream.Method, error) {
	offer, err := s.offer(ctx, in.Caller, in.ToolID)
	if err != nil {
		return nil, err
	}
	if offer.Pinned {
		methods := make([]upstream.Method, 0, len(offer.Methods))
		for _, m := range offer.Methods {
			if m.Difference == "" {
				methods = append(methods, m.Method)
			}
		}
		return methods, nil
	}
	carried, err := s.credentials(ctx, in.Caller, offer)
	if err != nil {
		return nil, err
	}
	methods, err := s.client.List(ctx, offer.Target(carried))
	return methods, carried.VeilError(err)
}

// offer gives a tool that the caller may call. Others look like none at all.
func (s *Service) offer(ctx context.Context, caller services.Caller, id uuid.UUID) (registry.Offer, error) {
	offers, err := s.catalog.Offers(ctx, registry.ToolsRequest{IDs: []uuid.UUID{id}})
	if err != nil {
		return registry.Offer{}, err
	}
	for _, o := range offers {
		if o.ToolID == id && o.VisibleTo(caller) {
			return o, nil
		}
	}
	return registry.Offer{}, services.Errorf(services.NotFound, "Tool not found")
}
