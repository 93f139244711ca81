package chat

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/billing"
)

// leastAnswer is what an answer needs that is worth asking for, in tokens.
const leastAnswer = 64

// codeBudget tells that a message may not cost what it would.
const codeBudget = "BUDGET_TOO_SMALL"

// ask asks the model once, and pays for it where the key is the platform's.
func (t *turn) ask(ctx context.Context, round int, last bool) (llm.Answer, error) {
	in := llm.Request{Access: t.access, System: t.instructions(), Messages: t.spoken, MaxTokens: t.s.cfg.Answer}
	if !last {
		in.Tools = t.box.tools()
	}
	bill, err := t.afford(ctx, &in, round)
	if err != nil {
		return llm.Answer{}, err
	}
	var answer llm.Answer
	if t.sink == nil {
		answer, err = t.s.models.Complete(ctx, in)
	} else {
		answer, err = t.s.models.Stream(ctx, in, func(d llm.Delta) error { return t.sink.Delta(d.Text) })
		if err != nil {
			t.partial = answer.Text
		}
	}
	t.pay(ctx, bill, in, answer, err)
	return answer, err
}

// bill is what is held for an answer.
type bill struct {
	hold      uuid.UUID
	operation string
	most      int64
	price     price
	given     int // tokens that the model is given, as estimated
}

// afford holds the most that an answer can cost. One's own keys cost nothing here. A
// budget that is smaller than an answer may cost has the answer be shorter.
func (t *turn) afford(ctx context.Context, in *llm.Request, round int) (*bill, error) {
	if !t.access.Platform {
		return nil, nil
	}
	p, _, ok := t.s.cfg.prices.of(t.access.Model)
	if !ok {
		return nil, services.Errorf(services.Invalid, "The platform's model %s has no price; store a key of your own with POST /api-keys, or ask the operator to set one in UAOL_MODEL_PRICES", t.access.Model)
	}
	given := tokensOfTools(in.Tools) + tokens(in.System) + tokensOfAll(in.Messages)
	most := p.credits(llm.Usage{Input: given, Output: in.MaxTokens})
	if most > t.left {
		if p.out > 0 {
			in.MaxTokens = int((t.left*1000 - int64(given)*p.in) / p.out)
			most = t.left
		}
		if p.out == 0 || in.MaxTokens < leastAnswer {
			return nil, services.Errorf(services.Invalid, "Of the %d credits that this message may cost %d are left, and an answer of the model takes more; raise its budget, or store a key of your own with POST /api-keys", t.budget(), t.left).WithCode(codeBudget)
		}
	}
	if most == 0 {
		return nil, nil
	}
	hold, err := t.s.till.Hold(ctx, t.caller, most)
	return &bill{hold: hold, operation: fmt.Sprintf("chat/%s/%d", t.bill, round), most: most, price: p, given: given}, err
}

// pay settles what an answer has cost, and gives the rest of the hold back. An answer of
// which nobody has seen anything is not paid for; one that was cut off is, as far as it
// came. An operation is paid once, also when the turn is begun again.
func (t *turn) pay(ctx context.Context, b *bill, in llm.Request, answer llm.Answer, failed error) {
	if b == nil {
		return
	}
	used := answer.Usage
	switch {
	case failed != nil && t.partial == "":
		used = llm.Usage{}
	case used == (llm.Usage{}): // the provider does not say
		used = llm.Usage{Input: b.given, Output: tokens(answer.Text)}
	}
	cost := min(max(b.price.credits(used), 0), b.most)
	t.s.till.Settle(ctx, b.hold, billing.Charge{Operation: b.operation, Amount: cost, Facts: billing.Facts{Method: in.Model, Trace: services.RequestID(ctx)}})
	t.left -= cost
	t.reply.Credits += cost
}
