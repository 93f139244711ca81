package library

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
)

// Files is how documents are found.
type Files interface {
	// Find gives one of the caller's files; kind NotFound.
	Find(ctx context.Context, caller services.Caller, id uuid.UUID) (File, error)
}

// File is a file of which a document is made.
type File struct {
	ID, Organization, Content uuid.UUID
	Filename                  string
}

// Service is the use cases of documents.
type Service struct {
	repository *Repository
	files      Files
	vectors    Vectors
	bell       *Bell
	log        *zap.Logger
}

// NewService makes a Service.
func NewService(repository *Repository, files Files, vectors Vectors, bell *Bell, log *zap.Logger) *Service {
	return &Service{repository: repository, files: files, vectors: vectors, bell: bell, log: log}
}

// Document is what is known of a file as a document.
type Document struct {
	File     uuid.UUID `json:"fileId"`
	Filename string    `json:"filename"`
	Status   Status    `json:"status" enum:"waiting,reading,read,failed"`
	Progress Progress  `json:"progress"`
	Kind     string    `json:"kind,omitempty" doc:"what it is by its bytes: pdf, docx, doc, xlsx, xls, csv, pptx, odt, ods, odp, epub, html, markdown, json, xml, rtf, mail, text or image"`
	Pages    int       `json:"pages,omitempty" doc:"of a PDF, or a presentation's slides"`
	Rows     int       `json:"rowCount,omitempty" doc:"of a table, over all sheets"`
	Columns  int       `json:"columnCount,omitempty" doc:"of a table, of its widest row"`
	Bytes    int       `json:"textBytes,omitempty" doc:"of its text"`
	Passages int       `json:"passages,omitempty" doc:"that can be found"`
	Vectors  bool      `json:"vectors" doc:"whether passages are found by their meaning too"`
	Warnings []string  `json:"warnings,omitempty" doc:"what is missing of it, and why"`
	Error    *Fault    `json:"error,omitempty"`
}

// Progress counts pages while a document is read.
type Progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// Fault is why a document could not be read.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

var errNoDocument = services.Errorf(services.NotFound, "No text is read from this file: it is too large, or of no type that has text")

// Get gives what is known of one of the caller's files as a document. Kind NotFound, for
// files that are no documents too.
func (s *Service) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (Document, error) {
	f, err := s.files.Find(ctx, caller, id)
	if err != nil {
		return Document{}, err
	}
	all, err := s.documents(ctx, []File{f})
	if err != nil {
		return Document{}, err
	}
	if all[0].Status == "" {
		return Document{}, errNoDocument
	}
	return all[0], nil
}

// documents gives files as documents, in their order; those that are none have no
// status.
func (s *Service) documents(ctx context.Context, files []File) ([]Document, error) {
	records, err := s.repository.records(ctx, contentsOf(files))
	if err != nil {
		return nil, err
	}
	all := make([]Document, len(files))
	for i, f := range files {
		all[i] = Document{File: f.ID, Filename: f.Filename}
		at := slices.IndexFunc(records, func(r record) bool { return r.Content == f.Content })
		if at < 0 {
			continue
		}
		r := records[at]
		all[i].Status, all[i].Progress, all[i].Kind = r.Status, Progress{r.Done, r.Total}, r.Kind
		all[i].Pages, all[i].Rows, all[i].Columns, all[i].Bytes, all[i].Passages = r.Pages, r.Rows, r.Columns, r.Bytes, r.Passages
		all[i].Vectors = r.Model != "" && r.Model == s.vectors.Model()
		all[i].Warnings = r.Warnings
		if r.Status == Failed {
			all[i].Error = &Fault{r.Code, r.Error}
		}
	}
	return all, nil
}

func contentsOf(files []File) []uuid.UUID {
	contents := make([]uuid.UUID, len(files))
	for i, f := range files {
		contents[i] = f.Content
	}
	return contents
}

// Text gives the beginning of what a file says, of so many characters.
func (s *Service) Text(ctx context.Context, caller services.Caller, id uuid.UUID, most int) (string, error) {
	f, err := s.files.Find(ctx, caller, id)
	if err != nil {
		return "", err
	}
	text, err := s.repository.text(ctx, f.Content, most)
	if services.Is(err, services.NotFound) {
		err = errNoDocument
	}
	return text, err
}

// Stretch is a part of a document: so many passages from a page or an ordinal on, whichever
// is later.
type Stretch struct {
	Page, From, Limit int
}

// Passages gives what stands in a part of one of the caller's files, in the order of
// reading; nothing while it has not been read.
func (s *Service) Passages(ctx context.Context, caller services.Caller, id uuid.UUID, in Stretch) ([]Passage, error) {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return nil, err
	}
	f, err := s.files.Find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	found, err := s.repository.stretch(ctx, f.Content, in)
	passages := make([]Passage, len(found))
	for i, p := range found {
		passages[i] = p.of(f)
	}
	return passages, err
}

// Again has a file read once more, for instance when it could not be read before.
func (s *Service) Again(ctx context.Context, caller services.Caller, id uuid.UUID) (Document, error) {
	f, err := s.files.Find(ctx, caller, id)
	if err != nil {
		return Document{}, err
	}
	there, err := s.repository.again(ctx, f.Content, f.Filename)
	if err == nil && !there {
		err = errNoDocument
	}
	if err != nil {
		return Document{}, err
	}
	s.bell.Ring()
	return s.Get(ctx, caller, id)
}

// Follow tells what is known of a document whenever that changes, until it is read or
// can't be.
func (s *Service) Follow(ctx context.Context, caller services.Caller, id uuid.UUID, tell func(Document) error) error {
	var last Document
	for first := true; ; first = false {
		rung := s.bell.wait()
		now, err := s.Get(ctx, caller, id)
		if err != nil {
			return err
		}
		if first || now.Status != last.Status || now.Progress != last.Progress {
			if err := tell(now); err != nil {
				return err
			}
		}
		if last = now; now.Status == Read || now.Status == Failed {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
		case <-time.After(lookEvery):
		}
	}
}

// Await waits until files are read or can't be, but no longer than the context lasts,
// and gives what is known of them then, in their order.
func (s *Service) Await(ctx context.Context, files []File) ([]Document, error) {
	asking := context.WithoutCancel(ctx)
	for {
		rung := s.bell.wait()
		all, err := s.documents(asking, files)
		if err != nil || !slices.ContainsFunc(all, func(d Document) bool { return d.Status == Waiting || d.Status == Reading }) {
			return all, err
		}
		select {
		case <-ctx.Done():
			return all, nil
		case <-rung:
		case <-time.After(lookEvery):
		}
	}
}

// TextOf gives the beginning of what a content says, of at most so many bytes, and
// whether that is not all.
func (s *Service) TextOf(ctx context.Context, content uuid.UUID, most int) (string, bool, error) {
	text, err := s.repository.text(ctx, content, most+1) // in characters, which have a byte or more
	if err != nil {
		return "", false, err
	}
	text, short := shortened(text, most)
	return text, short, nil
}
