package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/blobs"
	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services"
)

// Archive is what a backup does with contents.
type Archive struct {
	shelf *blobs.Shelf
	ring  *keyring.Ring
}

// NewArchive makes an Archive.
func NewArchive(shelf *blobs.Shelf, ring *keyring.Ring) *Archive {
	return &Archive{shelf: shelf, ring: ring}
}

// Kept is a content that files have.
type Kept struct {
	ID     uuid.UUID `json:"id" db:"content_id"`
	Store  string    `json:"store" db:"store"`
	Secret []byte    `json:"secret" db:"secret"` // sealed
	Size   int64     `json:"size" db:"size"`
	SHA256 string    `json:"sha256" db:"sha256"`
}

// EachKept hands on the contents that files have, as q sees them.
func EachKept(ctx context.Context, q postgres.Querier, f func(Kept) error) error {
	return postgres.Each(ctx, q, f, `
		SELECT content_id, store, secret, size, sha256 FROM uaol_storage.contents WHERE state = 'kept' ORDER BY content_id`)
}

// Open gives a content, read in the clear.
func (a *Archive) Open(ctx context.Context, k Kept) (*blobs.Content, error) {
	return openedFrom(ctx, a.shelf, a.ring, content{ID: k.ID, Store: k.Store, Secret: k.Secret, Size: &k.Size})
}

// Lost reports whether a content could not be read because it is not there, or is
// damaged; what lies elsewhere may only be out of reach.
func (k Kept) Lost(err error) bool {
	return services.Is(err, services.NotFound) || k.Store == inDirectory
}

func openedFrom(ctx context.Context, shelf *blobs.Shelf, ring *keyring.Ring, c content) (*blobs.Content, error) {
	store, err := shelf.Named(c.Store)
	if err != nil {
		return nil, err
	}
	var secret []byte
	if c.Secret != nil {
		if secret, err = ring.Open(c.Secret, bond(c.ID)); err != nil {
			return nil, services.Errorf(services.Internal, "a file's secret can't be opened").Because(err)
		}
	}
	return store.Open(ctx, c.ID.String(), secret, *c.Size)
}

// Put stores the content of a row that was restored, in the store that takes what is
// new here, and lets the row say so. Kind NotFound when there is no such row.
func (a *Archive) Put(ctx context.Context, tx pgx.Tx, id uuid.UUID, from io.Reader) error {
	row, err := postgres.One[Kept](ctx, tx, `
		SELECT content_id, store, secret, size, sha256 FROM uaol_storage.contents WHERE content_id = $1 AND state = 'kept'`, id)
	if err != nil {
		return err
	}
	name, store := a.shelf.Current()
	secret := make([]byte, blobs.SecretSize)
	sealed := row.Secret
	if sealed == nil { // it was in the clear, or in a store that sees to that
		_, _ = rand.Read(secret) // never fails
		sealed = a.ring.Seal(secret, bond(id))
	} else if secret, err = a.ring.Open(sealed, bond(id)); err != nil {
		return err
	}
	if _, err := store.Put(ctx, id.String(), secret, from); err != nil {
		return err
	}
	_, err = postgres.Exec(ctx, tx, `UPDATE uaol_storage.contents SET store = $2, secret = $3 WHERE content_id = $1`, id, name, sealed)
	return err
}

const (
	holdFor   = 2 * time.Minute
	holdAgain = 20 * time.Second
)

// HoldContents lets no content go from any store until release: what stops being
// anybody's meanwhile leaves afterwards, when the sweeper comes. The context ends when
// the hold could not be kept up, so that nobody relies on it.
//
// Whoever removes a content has first said so in its row, then looks for holds. So a
// snapshot that is taken once this has returned names no content that still goes.
func HoldContents(ctx context.Context, pool *pgxpool.Pool) (held context.Context, release func() error, err error) {
	id := uuid.Must(uuid.NewV7())
	renew := func(ctx context.Context) error {
		_, err := postgres.Exec(ctx, pool, `
			INSERT INTO uaol_storage.backups (backup_id, expires_at) VALUES ($1, now() + $2::bigint * interval '1 millisecond')
			ON CONFLICT (backup_id) DO UPDATE SET expires_at = excluded.expires_at`, id, holdFor.Milliseconds())
		return err
	}
	if _, err := postgres.Exec(ctx, pool, `DELETE FROM uaol_storage.backups WHERE expires_at < now()`); err != nil {
		return nil, nil, err
	}
	if err := renew(ctx); err != nil {
		return nil, nil, err
	}
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := keepUp(held, renew); err != nil {
			cancel(err)
		}
	}()
	return held, func() error {
		cancel(nil)
		<-ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, err := postgres.Exec(ctx, pool, `DELETE FROM uaol_storage.backups WHERE backup_id = $1`, id)
		return err
	}, nil
}

// keepUp renews a hold for as long as there is time, and says when there was none left.
func keepUp(ctx context.Context, renew func(context.Context) error) error {
	last := time.Now()
	ticker := time.NewTicker(holdAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		began := time.Now()
		err := renew(ctx)
		switch {
		case err == nil:
			last = began
		case ctx.Err() == nil && time.Since(last) > holdFor-2*holdAgain:
			return errors.Join(services.Errorf(services.Unavailable, "the database could not be told to keep files' contents"), err)
		}
	}
}

// paused reports whether contents are to stay for now.
func (r *Repository) paused(ctx context.Context) (bool, error) {
	return postgres.Value[bool](ctx, r.pool, `SELECT EXISTS (SELECT 1 FROM uaol_storage.backups WHERE expires_at > now())`)
}
