package library

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/blobs"
	"uaol/services"
	"uaol/services/storage/documents"
)

// Contents opens what files contain.
type Contents interface {
	// Content opens a content; kinds NotFound when it is gone, Unavailable.
	Content(ctx context.Context, id uuid.UUID) (*blobs.Content, error)
}

// Reader reads documents, one after the other. Several may run at once, in one process
// and in many.
type Reader struct {
	repository *Repository
	contents   Contents
	extractor  *documents.Extractor
	bell       *Bell
	log        *zap.Logger
}

// NewReader makes a Reader.
func NewReader(repository *Repository, contents Contents, extractor *documents.Extractor, bell *Bell, log *zap.Logger) *Reader {
	return &Reader{repository: repository, contents: contents, extractor: extractor, bell: bell, log: log}
}

const (
	// lookEvery is the pause between two looks at what other processes have done.
	lookEvery = time.Second
	// mostAttempts is how often a document may end its reader before it is left.
	mostAttempts = 3
	signEvery    = time.Second // of a reader's life, while pages are read
)

// Run reads whatever waits, until its context ends.
func (r *Reader) Run(ctx context.Context) error {
	for {
		rung := r.bell.wait()
		c, err := r.repository.claim(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case services.Is(err, services.NotFound):
			select {
			case <-ctx.Done():
				return nil
			case <-rung:
			case <-time.After(lookEvery):
			}
		case err != nil:
			return err
		default:
			if err := r.read(ctx, c); err != nil {
				return err
			}
		}
	}
}

// read reads a document and writes down what becomes of it.
func (r *Reader) read(ctx context.Context, c claimed) error {
	defer r.bell.Ring()
	if c.Attempts > mostAttempts {
		return r.repository.fail(ctx, c, documents.CodeBroken, fmt.Sprintf("This file could not be read: the server ended %d times while it was read; save it anew and upload that", mostAttempts))
	}
	err := r.settle(ctx, c)
	if ctx.Err() != nil { // this process ends
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = r.repository.giveBack(ending, c, true) // else the lease ends
		return nil
	}
	return err
}

// settle reads a document and stores what it says, or why it can't be read. All the while
// it shows that the document is being read.
func (r *Reader) settle(ctx context.Context, c claimed) error {
	inside, lose := context.WithCancelCause(ctx)
	var pages atomic.Pointer[[2]int]
	pages.Store(&[2]int{})
	var signs sync.WaitGroup
	signs.Go(func() { r.sign(inside, c, &pages, lose) })
	doc, text, err := r.extract(inside, c, func(done, total int) { pages.Store(&[2]int{done, total}) })
	if err == nil {
		err = r.repository.finish(inside, c, doc, text)
	}
	lost := errors.Is(context.Cause(inside), errLost)
	lose(nil)
	signs.Wait()
	var own *services.Error
	switch {
	case err == nil, services.Is(err, services.NotFound), lost, ctx.Err() != nil:
		return nil
	case errors.As(err, &own) && (own.Kind == services.Invalid || own.Kind == services.Unsupported):
		return r.repository.fail(ctx, c, own.Code, own.Message)
	}
	r.log.Warn("a document can't be read just now", zap.Stringer("content", c.Content), zap.Error(err))
	return r.repository.giveBack(ctx, c, false)
}

var errLost = errors.New("the document is another reader's by now")

func (r *Reader) extract(ctx context.Context, c claimed, progress func(done, total int)) (documents.Document, string, error) {
	content, err := r.contents.Content(ctx, c.Content)
	if err != nil {
		return documents.Document{}, "", err
	}
	defer content.Close()
	doc, err := r.extractor.Extract(ctx, content, c.Filename, progress)
	if err != nil {
		return doc, "", err
	}
	text, err := textOf(doc, content)
	return doc, text, err
}

// sign renews the lease and tells of progress until the reading ends.
func (r *Reader) sign(ctx context.Context, c claimed, pages *atomic.Pointer[[2]int], lose context.CancelCauseFunc) {
	ticker := time.NewTicker(signEvery)
	defer ticker.Stop()
	told, last := [2]int{}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := *pages.Load()
		if now == told && time.Since(last) < leaseTime/4 {
			continue
		}
		held, err := r.repository.renew(ctx, c, now[0], now[1])
		if err == nil && !held {
			lose(errLost)
			return
		}
		if err == nil {
			told, last = now, time.Now()
			r.bell.Ring()
		}
	}
}

// textOf is what people are shown of a document. What is text already is shown as it
// is; a workbook says which sheet is which.
func textOf(doc documents.Document, content io.ReadSeeker) (string, error) {
	switch doc.Type {
	case "text", "csv", "json", "xml", "markdown":
		if _, err := content.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		raw, err := io.ReadAll(content)
		if err != nil {
			return "", err
		}
		if raw = withoutMark(raw); utf8.Valid(raw) {
			return string(raw), nil
		}
	case "xlsx", "xls", "ods":
		return sheets(doc), nil
	case "docx", "doc", "odt", "rtf":
		return paragraphs(doc), nil
	}
	return doc.Text(), nil
}
