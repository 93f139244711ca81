package mcpserver

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// subscriptionsFor is how long another process may not have heard of a subscription.
const subscriptionsFor = 5 * time.Second

// subscribeResource lets a session hear of a resource's changes, on the stream that its
// client opens with GET, wherever that is.
func (q *request) subscribeResource(ctx context.Context) {
	if !q.ofSession() {
		return
	}
	if _, _, err := q.endpoint.locate(ctx, q.caller, q.shelf, q.params.uri); err != nil {
		q.noResource(err)
		return
	}
	q.subscribed(ctx, q.endpoint.repository.subscribe)
}

func (q *request) unsubscribeResource(ctx context.Context) {
	if q.ofSession() {
		q.subscribed(ctx, q.endpoint.repository.unsubscribe)
	}
}

func (q *request) subscribed(ctx context.Context, change func(ctx context.Context, session uuid.UUID, uri string, until time.Time) error) {
	if err := change(ctx, q.session.ID, q.params.uri, q.session.until()); err != nil {
		q.fail(err)
		return
	}
	q.endpoint.sessions.subscriptions.Invalidate(q.session.ID)
	q.complete("", notCached)
}

// ofSession refuses a request that has no session.
func (q *request) ofSession() bool {
	if q.session.ID == noSession {
		q.reply.failWith(http.StatusBadRequest, invalidRequest("This is a session's: initialize one first"))
		return false
	}
	return true
}

// subscribedTo gives the resources of whose changes a session wants to hear.
func (s *sessions) subscribedTo(ctx context.Context, id uuid.UUID) ([]string, error) {
	if known, ok := s.subscriptions.GetIfPresent(id); ok {
		return known, nil
	}
	uris, err := s.repository.subscriptions(ctx, id)
	if err == nil {
		s.subscriptions.Set(id, uris)
	}
	return uris, err
}

// subscribe notes a session's subscription. Kind Limited.
func (r *Repository) subscribe(ctx context.Context, session uuid.UUID, uri string, until time.Time) error {
	n, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_proxy.subscriptions (session_id, uri, expires_at)
		SELECT $1::uuid, $2::text, $3::timestamptz WHERE (SELECT count(*) FROM uaol_proxy.subscriptions WHERE session_id = $1::uuid AND uri <> $2::text) < $4::bigint
		ON CONFLICT (session_id, uri) DO UPDATE SET expires_at = excluded.expires_at`, session, postgres.Text(uri), until, mostFollowed)
	if err == nil && n == 0 {
		err = services.Errorf(services.Limited, "A session can follow %d resources", mostFollowed)
	}
	return err
}

func (r *Repository) unsubscribe(ctx context.Context, session uuid.UUID, uri string, _ time.Time) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_proxy.subscriptions WHERE session_id = $1 AND uri = $2`, session, postgres.Text(uri))
	return err
}

func (r *Repository) subscriptions(ctx context.Context, session uuid.UUID) ([]string, error) {
	return postgres.Values[string](ctx, r.pool, `SELECT uri FROM uaol_proxy.subscriptions WHERE session_id = $1 ORDER BY uri`, session)
}

// follow follows the resources that a session is subscribed to, and no others any more.
func (s *stream) follow(ctx context.Context, session uuid.UUID) {
	q := s.request
	uris, err := q.endpoint.sessions.subscribedTo(ctx, session)
	if err != nil {
		return // the next look may find the database back
	}
	now := make(map[string]struct{}, len(uris))
	for _, uri := range uris {
		now[uri] = struct{}{}
		if _, known := s.leaves[uri]; known {
			continue
		}
		if tool, own, err := q.endpoint.locate(ctx, q.caller, q.shelf, uri); err == nil {
			s.update(uri, located{tool, own})
		}
		if s.leaves[uri] == nil {
			s.leaves[uri] = func() {} // it can't be followed on this stream
		}
	}
	for uri, leave := range s.leaves {
		if _, still := now[uri]; !still {
			leave()
			delete(s.leaves, uri)
		}
	}
}
