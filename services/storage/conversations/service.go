package conversations

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Service is the use cases of conversations.
type Service struct{ repository *Repository }

// NewService makes a Service.
func NewService(repository *Repository) *Service { return &Service{repository: repository} }

var errNone = services.Errorf(services.NotFound, "Conversation not found")

func (c Conversation) belongsTo(caller services.Caller) bool {
	return caller.Owns(c.Organization) && caller.Account == c.Account
}

// Get gives one of the caller's conversations.
func (s *Service) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (Conversation, error) {
	c, err := s.repository.byID(ctx, id)
	if services.Is(err, services.NotFound) || err == nil && !c.belongsTo(caller) {
		return Conversation{}, errNone
	}
	return c, err
}

// List gives the caller's conversations, the one that was spoken in last first.
func (s *Service) List(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Conversation, error) {
	return s.repository.recent(ctx, caller.Account, caller.Organization, before, beforeID, limit)
}

// Rename gives one of the caller's conversations another title.
func (s *Service) Rename(ctx context.Context, caller services.Caller, id uuid.UUID, title string) (Conversation, error) {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return Conversation{}, err
	}
	return s.repository.rename(ctx, id, Title(title))
}

// Delete removes one of the caller's conversations with all that was said.
func (s *Service) Delete(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return err
	}
	return s.repository.delete(ctx, id)
}

// Messages gives what was said after some message, in its order.
func (s *Service) Messages(ctx context.Context, caller services.Caller, id uuid.UUID, after, limit int) ([]Message, error) {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return nil, err
	}
	return s.repository.after(ctx, id, after, limit)
}

// Begin implements Book.
func (s *Service) Begin(ctx context.Context, in BeginRequest) (Begun, error) {
	if len(in.Messages) == 0 || in.Conversation == uuid.Nil || in.Turn == uuid.Nil {
		return Begun{}, services.Errorf(services.Invalid, "A turn has a conversation, an id and messages")
	}
	in.Title = Title(in.Title)
	in.Messages = stored(in.Messages)
	return s.repository.begin(ctx, in)
}

// Renew implements Book.
func (s *Service) Renew(ctx context.Context, in Claim) error { return s.repository.renew(ctx, in) }

// Finish implements Book.
func (s *Service) Finish(ctx context.Context, in FinishRequest) error {
	in.Messages = stored(in.Messages)
	return s.repository.finish(ctx, in)
}

// stored are messages as PostgreSQL takes them; the given ones are their owner's.
func stored(messages []Message) []Message {
	messages = slices.Clone(messages)
	for i := range messages {
		messages[i].Content = postgres.Text(messages[i].Content)
	}
	return messages
}

// longestTitle is in characters.
const longestTitle = 80

// Title makes a title of what somebody said first.
func Title(said string) string {
	words := strings.Join(strings.Fields(postgres.Text(said)), " ")
	if runes := []rune(words); len(runes) > longestTitle {
		words = strings.TrimSpace(string(runes[:longestTitle-1])) + "…"
	}
	if words == "" {
		return "Conversation"
	}
	return words
}
