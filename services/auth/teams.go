package auth

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/mail"
	"uaol/services"
	"uaol/services/auth/teams"
)

// host is what organisations need of the rest of auth; it is a teams.Host.
type host struct {
	repository *Repository
	audit      *AuditLog
	post       *Post
}

// NewTeamsHost makes a teams.Host.
func NewTeamsHost(repository *Repository, audit *AuditLog, post *Post) teams.Host {
	return &host{repository: repository, audit: audit, post: post}
}

// AccessChanged implements teams.Host.
func (h *host) AccessChanged(account, organization uuid.UUID) events.Event {
	return accessChanged(account, organization)
}

// StillCounts implements teams.Host.
func (h *host) StillCounts(ctx context.Context, tx pgx.Tx, caller services.Caller) error {
	_, err := h.repository.stillCounts(ctx, tx, caller)
	return err
}

// NormalEmail implements teams.Host.
func (h *host) NormalEmail(raw string) (string, error) { return normalEmail(raw) }

// Keys implements teams.Host.
func (h *host) Keys(ctx context.Context, account uuid.UUID) ([]teams.Key, error) {
	keys, err := h.repository.keys(ctx, account)
	shown := make([]teams.Key, len(keys))
	for i, k := range keys {
		shown[i] = k.shown()
	}
	return shown, err
}

// AddKey implements teams.Host.
func (h *host) AddKey(ctx context.Context, tx pgx.Tx, caller services.Caller, account uuid.UUID, in teams.KeyRequest) (teams.Key, string, error) {
	key, secret, err := h.repository.addKeyFor(ctx, tx, caller, account, KeyRequest(in))
	return key.shown(), secret, err
}

// RevokeKey implements teams.Host.
func (h *host) RevokeKey(ctx context.Context, tx pgx.Tx, account, key uuid.UUID) error {
	_, err := h.repository.lockKey(ctx, tx, account, key)
	if services.Is(err, services.NotFound) {
		return errNoKey
	}
	if err != nil {
		return err
	}
	return h.repository.endKey(ctx, tx, account, key)
}

// Acts implements teams.Host.
func (h *host) Acts(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]services.Act, error) {
	return h.audit.List(ctx, Filter{Organization: organization}, before, beforeID, limit)
}

// Erase implements teams.Host. The organisation stands in an account's place.
func (h *host) Erase(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error {
	return h.repository.addErasures(ctx, tx, services.Person{Account: organization, Organizations: []uuid.UUID{organization}})
}

// Mail implements teams.Host.
func (h *host) Mail(to, subject, text string) bool {
	return h.post.Configured() && h.post.send("invitation", mail.Message{To: to, Subject: subject, Text: text}) == nil
}

// shown is a key as its organisation's admins see it.
func (k Key) shown() teams.Key {
	k = k.completed()
	return teams.Key{
		ID: k.ID, Name: k.Name, Masked: k.Masked, Scopes: k.Scopes,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
	}
}
