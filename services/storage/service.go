package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/blobs"
	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/storage/library"
)

// Service is storage's use cases.
type Service struct {
	repository *Repository
	shelf      *blobs.Shelf
	ring       *keyring.Ring
	meter      billing.Meter
	signer     signer
	bell       *library.Bell
	cfg        Config
	log        *zap.Logger
}

// NewService makes a Service.
func NewService(repository *Repository, shelf *blobs.Shelf, ring *keyring.Ring, meter billing.Meter, bell *library.Bell, cfg Config, log *zap.Logger) *Service {
	return &Service{repository: repository, shelf: shelf, ring: ring, meter: meter, bell: bell, signer: newSigner(ring), cfg: cfg, log: log}
}

var errNoFile = services.Errorf(services.NotFound, "File not found")

// Get gives what is known of one of the caller's files.
func (s *Service) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (File, error) {
	f, err := s.repository.byID(ctx, s.repository.pool, id)
	if services.Is(err, services.NotFound) {
		f, err = s.claim(ctx, caller, id)
		if services.Is(err, services.NotFound) { // unless somebody else has claimed it just now
			f, err = s.repository.byID(ctx, s.repository.pool, id)
		}
	}
	if services.Is(err, services.NotFound) || (err == nil && !caller.Owns(f.Organization)) {
		return File{}, errNoFile
	}
	return f, err
}

// List gives the caller's files, newest first.
func (s *Service) List(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]File, error) {
	return s.repository.owned(ctx, caller.Organization, before, beforeID, limit)
}

// Rename gives one of the caller's files another name.
func (s *Service) Rename(ctx context.Context, caller services.Caller, id uuid.UUID, name string) (File, error) {
	f, err := s.repository.rename(ctx, caller.Organization, id, name)
	if services.Is(err, services.NotFound) {
		err = errNoFile
	}
	return f, err
}

// Delete removes one of the caller's files. Its content goes with the last file that
// has it: at once, or when the sweeper next comes by.
func (s *Service) Delete(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	err := s.remove(ctx, caller.Organization, id)
	if services.Is(err, services.NotFound) {
		err = errNoFile
	}
	return err
}

func (s *Service) remove(ctx context.Context, organization, id uuid.UUID) error {
	last, err := s.repository.drop(ctx, organization, id)
	if err != nil || last == nil {
		return err
	}
	if err := s.discard(ctx, *last); err != nil {
		s.log.Warn("a file's content could not be removed yet", zap.Stringer("content", last.ID), zap.Error(err))
	}
	return nil
}

// discard removes what is leaving; while a backup copies contents that is left to the
// sweeper.
func (s *Service) discard(ctx context.Context, c content) error {
	if paused, err := s.repository.paused(ctx); err != nil || paused {
		return err
	}
	store, err := s.shelf.Named(c.Store)
	if err == nil {
		err = store.Delete(ctx, c.ID.String())
	}
	if err == nil {
		err = s.repository.forget(ctx, c.ID)
	}
	return err
}

// Usage tells what the caller's organisation has stored and may store.
func (s *Service) Usage(ctx context.Context, caller services.Caller) (Usage, error) {
	used, err := s.repository.usage(ctx, caller.Organization)
	if err != nil {
		return Usage{}, err
	}
	plan, err := s.plan(ctx, caller.Organization)
	used.Limit = plan.Storage
	return used, err
}

func (s *Service) plan(ctx context.Context, organization uuid.UUID) (billing.Plan, error) {
	plans, err := s.meter.Plans(ctx, billing.PlansRequest{Organizations: []uuid.UUID{organization}})
	if err != nil {
		return billing.Plan{}, err
	}
	return plans[0], nil
}

// Open gives a file's content; who may have it was asked before.
func (s *Service) Open(ctx context.Context, f File) (*blobs.Content, error) {
	return s.Content(ctx, f.Content)
}

// Content implements library.Contents.
func (s *Service) Content(ctx context.Context, id uuid.UUID) (*blobs.Content, error) {
	c, err := s.repository.content(ctx, id)
	if services.Is(err, services.NotFound) || (err == nil && c.Size == nil) { // removed meanwhile
		return nil, errNoFile
	}
	if err != nil {
		return nil, err
	}
	return openedFrom(ctx, s.shelf, s.ring, c)
}

// Find implements library.Files.
func (s *Service) Find(ctx context.Context, caller services.Caller, id uuid.UUID) (library.File, error) {
	f, err := s.Get(ctx, caller, id)
	return asDocument(f), err
}

func asDocument(f File) library.File {
	return library.File{ID: f.ID, Organization: f.Organization, Content: f.Content, Filename: f.Filename}
}

// bond ties a sealed secret to its content.
func bond(content uuid.UUID) string { return "content " + content.String() }
