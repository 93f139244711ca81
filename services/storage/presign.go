package storage

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// ticket is a file that may be uploaded by a URL.
type ticket struct {
	ID           uuid.UUID  `db:"file_id"`
	Organization uuid.UUID  `db:"organization_id"`
	Account      uuid.UUID  `db:"account_id"`
	Filename     string     `db:"filename"`
	ContentType  string     `db:"content_type"`
	Size         *int64     `db:"size"`
	Content      *uuid.UUID `db:"content_id"`
	ExpiresAt    time.Time  `db:"expires_at"`
}

const ticketColumns = `file_id, organization_id, account_id, filename, content_type, size, content_id, expires_at`

// Presigned is a URL that a file is uploaded by.
type Presigned struct {
	ID        uuid.UUID         `json:"fileId"`
	URL       string            `json:"presignedUrl" doc:"for one PUT, here or at another host"`
	ExpiresIn int64             `json:"expiresIn" doc:"seconds"`
	Headers   map[string]string `json:"headers" doc:"that the PUT has to carry"`
}

// Presign makes a URL for one PUT of a file of that type, and of that size if one is
// said. Where a store of others can hold clients to that, they send it there.
func (s *Service) Presign(ctx context.Context, caller services.Caller, filename, contentType string, size *int64, lifetime time.Duration) (Presigned, error) {
	announced := int64(-1)
	if size != nil {
		announced = *size
	}
	if _, err := s.room(ctx, caller.Organization, announced); err != nil {
		return Presigned{}, err
	}
	t := ticket{ID: uuid.Must(uuid.NewV7()), Organization: caller.Organization, Account: caller.Account, Filename: filename, ContentType: contentType, Size: size,
		ExpiresAt: time.Now().Add(lifetime)}
	made := Presigned{ID: t.ID, ExpiresIn: int64(lifetime / time.Second), Headers: map[string]string{"Content-Type": contentType}}
	name, store := s.shelf.Current()
	if direct := store.Direct(); direct != nil && size != nil {
		c := content{ID: uuid.Must(uuid.NewV7()), Organization: caller.Organization, Store: name}
		if err := s.repository.coming(ctx, c); err != nil {
			return Presigned{}, err
		}
		to, header, err := direct.PutURL(ctx, c.ID.String(), contentType, *size, lifetime)
		if err != nil {
			return Presigned{}, err
		}
		t.Content, made.URL = &c.ID, to
		for name := range header {
			made.Headers[http.CanonicalHeaderKey(name)] = header.Get(name)
		}
	} else {
		made.URL = s.signer.path(http.MethodPut, t.ID, t.ExpiresAt)
	}
	return made, s.repository.issue(ctx, t)
}

// Fetchable makes a URL by which one of the caller's files can be fetched without
// credentials.
func (s *Service) Fetchable(ctx context.Context, caller services.Caller, id uuid.UUID, lifetime time.Duration) (string, error) {
	f, err := s.Get(ctx, caller, id)
	if err != nil {
		return "", err
	}
	c, err := s.repository.content(ctx, f.Content)
	if err != nil {
		return "", err
	}
	store, err := s.shelf.Named(c.Store)
	if err != nil {
		return "", err
	}
	if direct := store.Direct(); direct != nil {
		contentType, disposition := served(f)
		return direct.GetURL(ctx, c.ID.String(), contentType, disposition, lifetime)
	}
	return s.signer.path(http.MethodGet, id, time.Now().Add(lifetime)), nil
}

// Redeem stores what is uploaded by a URL of ours. The ticket is good for one file:
// the same upload again gives it again. Kinds: NotFound, Unsupported, Invalid.
func (s *Service) Redeem(ctx context.Context, id uuid.UUID, contentType string, size int64, body io.Reader) (File, error) {
	t, err := s.repository.ticket(ctx, id)
	if services.Is(err, services.NotFound) || err == nil && t.Content != nil {
		return File{}, services.Errorf(services.NotFound, "This URL was used already, or has expired; ask for another URL")
	}
	if err != nil {
		return File{}, err
	}
	if !sameType(contentType, t.ContentType) {
		return File{}, services.Errorf(services.Unsupported, "The URL was made for %s; send that as Content-Type", t.ContentType)
	}
	if t.Size != nil && size != *t.Size {
		return File{}, services.Errorf(services.Invalid, "The URL was made for %d bytes; send exactly that many, with their number as Content-Length", *t.Size)
	}
	caller := services.Caller{Account: t.Account, Organization: t.Organization}
	return s.Upload(ctx, caller, Upload{ID: id, Filename: t.Filename, Claimed: t.ContentType, Strict: t.ContentType != anything, Size: size, Content: body})
}

const anything = "application/octet-stream" // is no claim

func sameType(a, b string) bool {
	a, _, errA := mime.ParseMediaType(a)
	b, _, errB := mime.ParseMediaType(b)
	return errA == nil && errB == nil && a == b
}

// claim makes a file of what was uploaded to a store of others by one of our URLs. It
// is looked at first, as all uploads are. Kind NotFound while nothing is there.
func (s *Service) claim(ctx context.Context, caller services.Caller, id uuid.UUID) (File, error) {
	t, err := s.repository.ticket(ctx, id)
	if err != nil {
		return File{}, err
	}
	if !caller.Owns(t.Organization) || t.Content == nil {
		return File{}, errNoFile
	}
	c, err := s.repository.content(ctx, *t.Content)
	if err != nil {
		return File{}, err
	}
	store, err := s.shelf.Named(c.Store)
	if err != nil || store.Direct() == nil {
		return File{}, err
	}
	size, err := store.Direct().Size(ctx, c.ID.String())
	if err != nil {
		return File{}, err
	}
	plan, err := s.plan(ctx, t.Organization)
	if err != nil {
		return File{}, err
	}
	there, err := store.Open(ctx, c.ID.String(), nil, size)
	if err != nil {
		return File{}, err
	}
	defer there.Close()
	incoming := newReceived(there, s.cfg.largest)
	kind, err := incoming.sniff(Upload{Filename: t.Filename, Claimed: t.ContentType, Strict: t.ContentType != anything})
	if err == nil {
		_, err = io.Copy(io.Discard, incoming)
	}
	if services.Is(err, services.Unsupported) || services.Is(err, services.TooLarge) {
		s.abandon(ctx, c)
	}
	if err != nil {
		return File{}, err
	}
	f := File{ID: id, Organization: t.Organization, Content: c.ID, Filename: t.Filename, ContentType: kind, Size: size, SHA256: incoming.sum()}
	return s.keep(ctx, t.Account, f, c, plan.Storage)
}

func (r *Repository) issue(ctx context.Context, t ticket) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_storage.tickets (`+ticketColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.ID, t.Organization, t.Account, t.Filename, t.ContentType, t.Size, t.Content, t.ExpiresAt)
	return err
}

// ticket gives one that has not expired; where somebody else takes the content, it may
// be asked for a day longer.
func (r *Repository) ticket(ctx context.Context, id uuid.UUID) (ticket, error) {
	return postgres.One[ticket](ctx, r.pool, `
		SELECT `+ticketColumns+` FROM uaol_storage.tickets
		WHERE file_id = $1 AND expires_at > now() - CASE WHEN content_id IS NULL THEN interval '0' ELSE interval '1 day' END`, id)
}

// expire removes tickets that nobody will use.
func (r *Repository) expire(ctx context.Context) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_storage.tickets WHERE expires_at < now() - interval '1 day'`)
	return err
}
