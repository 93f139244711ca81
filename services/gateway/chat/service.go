package chat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/llm"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/storage/conversations"
	"uaol/services/storage/library"
)

const (
	// mostHistory messages are looked at; how many a model is given its tokens say.
	mostHistory = 200
	renewEvery  = 20 * time.Second // of a claim's minute
)

// Chat answers a message, and tells sink of it while it comes, which may be nil. The same
// request again, by its Key, has the same answer. Kinds: Invalid, NotFound for a
// conversation, file or tool that is not the caller's, Conflict while a message of the
// conversation is being answered, Insufficient, and those of llm.Client.
func (s *Service) Chat(ctx context.Context, caller services.Caller, in Request, sink Sink) (Reply, error) {
	files, err := in.check()
	if err == nil {
		err = in.permitted(caller)
	}
	if err != nil {
		return Reply{}, err
	}
	access, err := s.access(ctx, caller, in)
	if services.IsCode(err, modelkeys.CodeMissing) {
		return Reply{Message: withoutModel(in.Message), Timestamp: services.Now()}, nil
	}
	if err != nil {
		return Reply{}, err
	}
	t := &turn{s: s, caller: caller, in: in, files: files, access: access, sink: sink, bill: uuid.Must(uuid.NewV7())}
	t.name()
	begun, err := s.book.Begin(ctx, conversations.BeginRequest{
		Caller: caller, Conversation: t.conversation, New: in.Conversation == uuid.Nil, Title: in.Message, Turn: t.id,
		Messages: []conversations.Message{t.opening()}, History: mostHistory})
	if err != nil {
		return Reply{}, err
	}
	if len(begun.Opening) > 0 { // it was begun before
		opening := notedOf(begun.Opening[0])
		if opening.Digest != in.digest() {
			err = services.Errorf(services.Conflict, "This request was made before, with another body")
		}
		t.bill = opening.Bill
	}
	if len(begun.Answer) > 0 && err == nil {
		return replyOf(begun.Answer)
	}
	if err != nil {
		return Reply{}, err // a claim, if there is one, ends by itself: the turn is another request's
	}
	return t.run(ctx, begun)
}

// withoutModel is the contract's answer where nobody has a key.
func withoutModel(message string) string {
	if runes := []rune(message); len(runes) > 100 {
		message = string(runes[:100]) + "..."
	}
	return `I received your message: "` + message + `". To enable AI responses, please set an API key. You can set your own API keys via /setkey command or use the settings.`
}

// access is which model is asked with which key: the named provider's, or else as for
// who names none.
func (s *Service) access(ctx context.Context, caller services.Caller, in Request) (llm.Access, error) {
	access, err := s.keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: caller, Provider: in.Provider})
	if services.IsCode(err, modelkeys.CodeMissing) && in.Provider != "" {
		access, err = s.keys.ModelAccess(ctx, modelkeys.AccessRequest{Caller: caller})
	}
	if err != nil || in.Model == "" || in.Model == access.Model {
		return access, err
	}
	if access.Platform {
		if _, named, _ := s.cfg.prices.of(in.Model); !named {
			return access, services.Faults(services.Fault{Path: "body.model", Message: "has no price for the platform's key; use " + access.Model + " or a key of your own"})
		}
	}
	access.Model = in.Model
	return access, nil
}

const (
	mostMessage = 100_000 // characters
	mostConfirm = 32
	mostNamed   = 32
)

// check judges a request and reads its ids.
func (in Request) check() (files []uuid.UUID, err error) {
	var faults []services.Fault
	switch {
	case strings.TrimSpace(in.Message) == "" && len(in.Confirm) == 0:
		const words = "Message is required"
		return nil, services.Errorf(services.Invalid, words).WithDetails([]services.Fault{{Path: "body.message", Message: words}})
	case len([]rune(in.Message)) > mostMessage:
		faults = append(faults, services.Fault{Path: "body.message", Message: "must have at most 100000 characters"})
	}
	if len(in.Confirm) > mostConfirm {
		faults = append(faults, services.Fault{Path: "body.confirm", Message: "must be at most 32 decisions"})
	}
	if len(in.Confirm) > 0 && in.Conversation == uuid.Nil {
		faults = append(faults, services.Fault{Path: "body.conversationId", Message: "says where the calls are that are decided"})
	}
	if in.Tools != nil && len(in.Tools.Named) > mostNamed {
		faults = append(faults, services.Fault{Path: "body.tools", Message: "must be at most 32 tools, or true"})
	}
	if in.Budget != nil && *in.Budget < 0 {
		faults = append(faults, services.Fault{Path: "body.budget", Message: "must be 0 or more"})
	}
	if len(in.Files) > library.MostFiles {
		faults = append(faults, services.Fault{Path: "body.fileIds", Message: "must be at most 20 files"})
	}
	if len(faults) > 0 {
		return nil, services.Faults(faults...)
	}
	for _, text := range in.Files {
		// What is no id of ours is no file either: the original's ids are texts.
		id, err := uuid.Parse(text)
		if err != nil {
			id = uuid.Max
		}
		files = append(files, id)
	}
	return files, nil
}

// permitted asks whether a caller may do what its request needs beside chat: a guest calls
// no tools, here as little as at the proxy, and an API key does what its scopes say.
func (in Request) permitted(caller services.Caller) error {
	tools := in.Tools != nil && !in.Tools.Off || len(in.Confirm) > 0
	if tools && caller.Role == services.RoleGuest {
		return services.Errorf(services.Unauthenticated, "Sign in to have tools called").WithCode("AUTHENTICATION_REQUIRED")
	}
	for _, need := range []struct {
		needed bool
		scope  string
	}{{len(in.Files) > 0, "documents:read"}, {tools, "proxy:write"}} {
		if need.needed && !caller.Scopes.Allow(need.scope) {
			return services.Errorf(services.Forbidden, "This API key lacks the scope %s", need.scope)
		}
	}
	return nil
}

// digest tells requests apart.
func (in Request) digest() string {
	in.Key = ""
	text, _ := json.Marshal(in) // texts and numbers
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// name gives the turn and its conversation their ids: the same for the same request.
func (t *turn) name() {
	switch {
	case len(t.in.Confirm) > 0:
		ids := make([]string, len(t.in.Confirm))
		for i, d := range t.in.Confirm {
			ids[i] = d.ID
		}
		slices.Sort(ids)
		t.id = uuid.NewSHA1(t.in.Conversation, []byte("confirm "+strings.Join(ids, " ")))
	case t.in.Key != "":
		t.id = uuid.NewSHA1(t.caller.Account, []byte("chat "+t.caller.Organization.String()+" "+t.in.Key))
	default:
		t.id = uuid.Must(uuid.NewV7())
	}
	if t.conversation = t.in.Conversation; t.conversation == uuid.Nil {
		t.conversation = uuid.NewSHA1(t.id, []byte("conversation"))
	}
}

// keep renews the turn's claim until its context ends; when the claim is lost it ends
// what depends on it.
func (t *turn) keep(ctx context.Context, lose context.CancelCauseFunc) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := t.s.book.Renew(ctx, t.claim()); services.Is(err, services.Conflict) {
			lose(err)
			return
		} else if err != nil && ctx.Err() == nil {
			t.s.log.Warn("a conversation's claim could not be renewed", zap.Error(err))
		}
	}
}
