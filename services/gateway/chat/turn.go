package chat

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/storage/conversations"
)

// turn is the answering of one message.
type turn struct {
	s      *Service
	caller services.Caller
	in     Request
	files  []uuid.UUID
	access llm.Access
	sink   Sink

	id, conversation, claimed uuid.UUID
	bill                      uuid.UUID // names the turn where it is paid for
	again                     bool      // it was begun before, and nobody knows how far it came

	nonce    string // marks what is data
	box      *toolbox
	spoken   []llm.Message           // for the model
	written  []conversations.Message // for the book
	sources  []Citation              // passages that the model was given
	partial  string                  // what the model had said when it was cut off
	reply    Reply
	left     int64 // credits of the budget
	room     int   // tokens that the model may still be given
	proposal *Proposal
}

// mostRounds bounds how often a model is asked for one message; the last time it has no
// tools, so that it answers.
const mostRounds = 8

func (t *turn) claim() conversations.Claim {
	return conversations.Claim{Caller: t.caller, Conversation: t.conversation, Claim: t.claimed}
}

// opening is what the turn begins with in the book.
func (t *turn) opening() conversations.Message {
	m := conversations.Message{Role: conversations.User, Content: t.in.Message}
	m.Details, _ = json.Marshal(noted{Confirm: t.in.Confirm, Files: t.in.Files, Bill: t.bill, Digest: t.in.digest()}) // texts
	return m
}

// run answers, and writes down what was said. What comes to nothing leaves nothing.
func (t *turn) run(ctx context.Context, begun conversations.Begun) (Reply, error) {
	t.claimed, t.again = begun.Claim, begun.Again
	inside, lose := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { t.keep(inside, lose) })
	t.reply = Reply{Provider: named(t.access.Provider), Conversation: t.conversation, Turn: t.id, Model: t.access.Model}
	err := t.answer(inside, begun.History)
	if cause := context.Cause(inside); err != nil && cause != nil && ctx.Err() == nil {
		err = cause // another has the claim
	}
	lose(nil)
	keeping.Wait()
	return t.finish(ctx, err)
}

// answer asks the model until it has nothing more to ask for.
func (t *turn) answer(ctx context.Context, history []conversations.Message) error {
	t.nonce = strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	t.left = t.budget()
	waiting, err := t.pending(history)
	if err != nil {
		return err
	}
	if t.box, err = t.open(ctx); err != nil {
		return err
	}
	words, err := t.words(ctx)
	if err != nil {
		return err
	}
	// From here on something happens that can't be undone.
	if t.sink != nil {
		if err := t.sink.Begun(t.conversation, t.id); err != nil {
			return err
		}
	}
	t.say(history, t.decide(ctx, waiting), words)
	for round := 0; ; round++ {
		last := round == mostRounds-1 || t.room <= 0
		answer, err := t.ask(ctx, round, last)
		if err != nil {
			return err
		}
		t.note(answer)
		if len(answer.ToolCalls) == 0 || last {
			t.end(answer.Text)
			return nil
		}
		if waits := t.use(ctx, answer); waits {
			t.end(answer.Text)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// budget is what the message may cost, in credits.
func (t *turn) budget() int64 {
	if t.in.Budget != nil {
		return *t.in.Budget
	}
	return t.s.cfg.Budget
}

// note counts an answer.
func (t *turn) note(answer llm.Answer) {
	if t.reply.Usage == nil {
		t.reply.Usage = &Usage{}
	}
	t.reply.Usage.Input += answer.Usage.Input
	t.reply.Usage.Output += answer.Usage.Output
	if answer.Model != "" {
		t.reply.Model = answer.Model
	}
}

// end completes the reply.
func (t *turn) end(text string) {
	if text == "" && len(t.reply.Confirmations) > 0 {
		text = "This needs your confirmation first."
	}
	if text == "" && t.proposal != nil {
		text = "I propose this workflow."
	}
	t.reply.Message, t.reply.Workflow = text, t.proposal
	t.reply.Citations = cited(t.sources, text)
}

// finish writes the turn down. What was said before it failed is kept; a turn in which
// nothing happened leaves nothing.
func (t *turn) finish(ctx context.Context, failed error) (Reply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	t.reply.Timestamp = services.Now()
	messages := t.written
	if failed != nil {
		if t.partial == "" && len(t.written) == 0 {
			messages = nil
		} else {
			t.end(t.partial)
			t.reply.CutOff = "the connection was lost"
			var own *services.Error
			if errors.As(failed, &own) {
				t.reply.CutOff = own.Message
			}
			if t.reply.Message == "" {
				t.reply.Message = "The answer was cut off: " + t.reply.CutOff
			}
		}
	}
	if failed == nil || t.partial != "" || len(t.written) > 0 {
		messages = t.closed(messages)
	}
	err := t.s.book.Finish(ctx, conversations.FinishRequest{Claim: t.claim(), Turn: t.id, Messages: messages})
	if err != nil {
		t.s.log.Warn("what was said could not be written down", zap.Stringer("turn", t.id), zap.Error(err))
	}
	if failed != nil {
		return Reply{}, failed
	}
	return t.reply, err
}

// closed adds the reply to the last thing that the model said, or as one.
func (t *turn) closed(messages []conversations.Message) []conversations.Message {
	n := len(messages)
	if n > 0 && messages[n-1].Role == conversations.Assistant || len(t.reply.Confirmations) > 0 {
		for i := n - 1; i >= 0; i-- {
			if messages[i].Role == conversations.Assistant {
				messages[i].Details = detailed(messages[i].Details, func(d *noted) { d.Reply = &t.reply })
				return messages
			}
		}
	}
	details, _ := json.Marshal(noted{Reply: &t.reply}) // it came from JSON, or is ours
	return append(messages, conversations.Message{Role: conversations.Assistant, Content: t.reply.Message, Details: details})
}

// named is a provider as the contract names it.
func named(p llm.Provider) string {
	if p == llm.Anthropic {
		return "claude"
	}
	return string(p)
}
