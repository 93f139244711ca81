package storage

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/blobs"
	"uaol/services"
)

// Upload is a content that comes in.
type Upload struct {
	ID       uuid.UUID // of the file; nil makes one
	Filename string
	Claimed  string // as what its sender describes the content, "" for nothing
	Strict   bool   // the content has to be what it is claimed to be
	Size     int64  // bytes, as announced; -1 when nobody has said
	Content  io.Reader
	// Most is the largest that it may be, in bytes, 0 for what the settings say.
	Most int64
	// Documents takes only what people talk about: texts, office files and images.
	Documents bool
}

// uploadWithin bounds an upload: what takes longer than a day is taken for left behind.
const uploadWithin = 12 * time.Hour

// Upload stores a file of the caller's. Nothing of it is left when it fails. Kinds:
// TooLarge, Forbidden over the plan's limit, Unsupported when a strict one is
// something else, Full, Conflict when there is a file of that id with another content.
func (s *Service) Upload(ctx context.Context, caller services.Caller, in Upload) (File, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadWithin)
	defer cancel()
	limit, err := s.room(ctx, caller.Organization, in.Size)
	if err != nil {
		return File{}, err
	}
	if in.ID == uuid.Nil {
		in.ID = uuid.Must(uuid.NewV7())
	}
	most := s.cfg.largest
	if in.Most > 0 {
		most = min(most, in.Most)
	}
	incoming := newReceived(in.Content, most)
	kind, err := incoming.sniff(in)
	if err != nil {
		return File{}, err
	}
	store, c, secret := s.fresh(caller.Organization)
	if err := s.repository.coming(ctx, c); err != nil {
		return File{}, err
	}
	size, err := store.Put(ctx, c.ID.String(), secret, incoming)
	if err != nil {
		s.abandon(ctx, c)
		return File{}, err
	}
	f := File{ID: in.ID, Organization: caller.Organization, Content: c.ID, Filename: in.Filename, ContentType: kind, Size: size, SHA256: incoming.sum()}
	return s.keep(ctx, caller.Account, f, c, limit)
}

// keep makes a file of what is stored. A file of that id that has the same content is
// the same upload, sent again.
func (s *Service) keep(ctx context.Context, account uuid.UUID, f File, c content, limit int64) (File, error) {
	kept, spare, err := s.repository.keep(ctx, account, f, limit)
	if services.Is(err, services.Unavailable) { // then nobody knows whether the row is there
		return File{}, err
	}
	if err != nil || spare {
		s.abandon(ctx, c)
	} else {
		s.bell.Ring()
	}
	if services.Is(err, services.Conflict) {
		there, e := s.repository.byID(ctx, s.repository.pool, f.ID)
		if e == nil && there.Organization == f.Organization {
			if there.SHA256 == f.SHA256 {
				there.Repeated = true
				return there, nil
			}
			err = services.Errorf(services.Conflict, "This upload was made already, with another content")
		}
	}
	return kept, err
}

// fresh is a content that is about to come, with its secret.
func (s *Service) fresh(organization uuid.UUID) (store blobs.Store, c content, secret []byte) {
	secret = make([]byte, blobs.SecretSize)
	_, _ = rand.Read(secret) // never fails
	c = content{ID: uuid.Must(uuid.NewV7()), Organization: organization}
	c.Store, store = s.shelf.Current()
	c.Secret = s.ring.Seal(secret, bond(c.ID))
	return store, c, secret
}

// abandon removes what has come to nothing; what can't be removed now the sweeper finds.
// What somebody else has made a file of meanwhile is left alone.
func (s *Service) abandon(ctx context.Context, c content) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	kept, err := s.repository.leaves(ctx, c.ID)
	if err == nil && !kept {
		err = s.discard(ctx, c)
	}
	if err != nil {
		s.log.Warn("an upload's rest could not be removed yet", zap.Stringer("content", c.ID), zap.Error(err))
	}
}

// room refuses what will not fit, as far as it is known, and gives the plan's limit.
func (s *Service) room(ctx context.Context, organization uuid.UUID, size int64) (limit int64, err error) {
	if size > s.cfg.largest {
		return 0, tooLarge(s.cfg.largest)
	}
	used, err := s.repository.usage(ctx, organization)
	if err != nil {
		return 0, err
	}
	plan, err := s.plan(ctx, organization)
	if err == nil && plan.Storage > 0 && used.Bytes >= plan.Storage {
		err = overLimit(used.Bytes, plan.Storage)
	}
	return plan.Storage, err
}

func tooLarge(most int64) error {
	return services.Errorf(services.TooLarge, "The file is larger than %s", humanBytes(most))
}

// received is a content as it comes in: counted, bounded and digested.
type received struct {
	*bufio.Reader
	digest interface {
		io.Writer
		Sum([]byte) []byte
	}
}

// sniffed is how much of a content is looked at for its type, in bytes: Office files
// name their parts within the first ones.
const sniffed = 4 << 10

func newReceived(content io.Reader, most int64) *received {
	digest := sha256.New()
	bounded := &bounded{reader: content, left: most, most: most}
	return &received{Reader: bufio.NewReaderSize(io.TeeReader(bounded, digest), sniffed), digest: digest}
}

func (r *received) sum() string { return hex.EncodeToString(r.digest.Sum(nil)) }

// sniff gives the type of a content, by its first bytes.
func (r *received) sniff(in Upload) (string, error) {
	head, err := r.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	found := mimetype.Detect(head)
	if in.Strict && !claimable(found, in.Claimed) {
		return "", services.Errorf(services.Unsupported, "The content looks like %s and not like %s", found.String(), in.Claimed)
	}
	kind := typeOf(found, in.Filename)
	if in.Documents && !discussable(kind) {
		base, _, _ := strings.Cut(kind, ";")
		return "", services.Errorf(services.Unsupported, "File type %s not allowed", base)
	}
	return kind, nil
}

// bounded is a reader that fails where a content is larger than it may be.
type bounded struct {
	reader     io.Reader
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, tooLarge(b.most)
	}
	return n, err
}
