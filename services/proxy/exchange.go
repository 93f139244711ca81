package proxy

import (
	"context"
	"encoding/json"
	"net/http"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
	"uaol/services/registry/credentials"
)

// Exchange is a call by somebody who speaks MCP with us: it may be told and asked
// something meanwhile, or want something else of the tool than a method.
type Exchange struct {
	CallRequest
	Request string          // resources/read, prompts/get and the like; "" for a call. Params are its parameters
	Subject string          // what it is about: a resource's address, a prompt's name
	Input   json.RawMessage // answers to what the tool asked when it was called the last time
	State   json.RawMessage // what it wants back with them
	Talk    *upstream.Talk
	MaxCost *int64      // credits
	Header  http.Header // of the request, where it has to repeat arguments; nil where not
}

// Codes of exchanges that never leave.
const (
	CodeTooDear        = "COST_ABOVE_LIMIT" // it costs more than its caller wants to pay
	CodeHeaderMismatch = "HEADER_MISMATCH"  // the request's headers say something else than its body
)

// checked is what is asked of a tool, after it was compared with its definition.
type checked struct {
	method    registry.Method
	schemas   *compiled
	carried   credentials.Carried
	arguments arguments // with what the tool's definition adds
	price     int64
}

// check compares what is asked of a tool with its definition.
func (s *Service) check(ctx context.Context, in Exchange, offer registry.Offer, given arguments, call *Call) (a checked, err error) {
	a = checked{schemas: &compiled{}, arguments: given, price: offer.Prices[in.Request]}
	if in.Request == "" {
		if a.method, err = offer.Find(in.Method); err != nil {
			return a, err
		}
		call.Pin, a.schemas, a.price = a.method.Digest, s.schemas.of(offer, a.method), offer.PriceOf(in.Method)
		if in.Header != nil {
			if err := upstream.CheckMirrors(a.schemas.mirrors, given.raw, in.Header); err != nil {
				return a, services.Errorf(services.Invalid, "%s", err).WithCode(CodeHeaderMismatch)
			}
		}
	}
	if in.MaxCost != nil && a.price > *in.MaxCost {
		return a, services.Errorf(services.Insufficient, "The call costs %d credits, more than the %d that it may cost", a.price, *in.MaxCost).WithCode(CodeTooDear)
	}
	if a.carried, err = s.credentials(ctx, in.Caller, offer); err != nil || in.Request != "" {
		return a, err
	}
	if a.arguments, err = given.with(a.carried.Arguments); err != nil {
		return a, err
	}
	return a, a.schemas.takes(a.arguments, a.carried.Arguments)
}

// veiled is the way back to the caller, on which nothing gets that the call carries.
func (in Exchange) veiled(carried credentials.Carried) *upstream.Talk {
	if in.Talk == nil || len(carried.Secrets) == 0 {
		return in.Talk
	}
	veiled := *in.Talk
	if notify := in.Talk.Notify; notify != nil {
		veiled.Notify = func(method string, params json.RawMessage) {
			params, _ = carried.Veil(params)
			notify(method, params)
		}
	}
	if answer := in.Talk.Answer; answer != nil {
		veiled.Answer = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
			params, _ = carried.Veil(params)
			return answer(ctx, method, params)
		}
	}
	return &veiled
}

func veiledError(carried credentials.Carried, said upstream.RPCError) *upstream.RPCError {
	message, _ := carried.Veil([]byte(said.Message))
	data, _ := carried.Veil(said.Data)
	return &upstream.RPCError{Code: said.Code, Message: string(message), Data: data}
}
