package library

import (
	"context"
	"time"

	"go.uber.org/zap"

	"uaol/providers/llm"
	"uaol/services"
)

// Embedder makes vectors of what was read, and makes them anew when the model changes.
// Until they are there, passages are found by their words.
type Embedder struct {
	repository *Repository
	vectors    Vectors
	bell       *Bell
	log        *zap.Logger
}

// NewEmbedder makes an Embedder.
func NewEmbedder(repository *Repository, vectors Vectors, bell *Bell, log *zap.Logger) *Embedder {
	return &Embedder{repository: repository, vectors: vectors, bell: bell, log: log}
}

const (
	embedBatch = 64 // passages at once
	embedLooks = 5 * time.Second
)

// Run makes vectors of whatever has none of the model yet, until its context ends.
func (e *Embedder) Run(ctx context.Context) error {
	model := e.vectors.Model()
	if model == "" {
		<-ctx.Done()
		return nil
	}
	pause := time.Duration(0) // since the model could not be reached
	for {
		rung := e.bell.wait()
		u, err := e.repository.claimUnembedded(ctx, model)
		wait := embedLooks
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err == nil:
			if err = e.embed(ctx, u, model); err == nil {
				pause = 0
				continue
			}
			// The document is left until its lease is over, and others for a while too.
			pause = min(max(2*pause, time.Second), time.Minute)
			wait, rung = pause, nil
			if ctx.Err() == nil {
				e.log.Warn("a document's vectors can't be made just now", zap.Stringer("content", u.Content), zap.Error(err))
			}
		case !services.Is(err, services.NotFound):
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rung:
		case <-time.After(wait):
		}
	}
}

func (e *Embedder) embed(ctx context.Context, u unembedded, model string) error {
	for ordinal := -1; ; {
		passages, err := e.repository.after(ctx, u.Content, ordinal, embedBatch)
		if err != nil {
			return err
		}
		if len(passages) == 0 {
			return e.repository.embedded(ctx, u, model)
		}
		if err := e.embedSome(ctx, u, passages); err != nil {
			return err
		}
		if held, err := e.repository.keepsUnembedded(ctx, u); err != nil || !held {
			return err
		}
		ordinal = passages[len(passages)-1].Ordinal
	}
}

// embedSome makes vectors of a few passages. One that the model refuses has none, and is
// found by its words.
func (e *Embedder) embedSome(ctx context.Context, u unembedded, passages []stored) error {
	texts := make([]string, len(passages))
	for i, p := range passages {
		texts[i] = p.forVector()
	}
	vectors, err := e.vectors.Embed(ctx, texts)
	switch {
	case err == nil:
		_, err = e.repository.embed(ctx, u, passages, vectors)
		return err
	case !services.Is(err, services.Invalid) || services.IsCode(err, llm.CodeKeyRefused) || services.IsCode(err, llm.CodeQuota) || services.IsCode(err, llm.CodeUnknownModel):
		return err
	case len(passages) == 1:
		e.log.Warn("a passage is refused by the model for vectors", zap.Stringer("content", u.Content), zap.Int("ordinal", passages[0].Ordinal), zap.Error(err))
		return nil
	}
	half := len(passages) / 2
	if err := e.embedSome(ctx, u, passages[:half]); err != nil {
		return err
	}
	return e.embedSome(ctx, u, passages[half:])
}

// forVector is what a passage's vector is made of: headings say what a text is about
// that does not say so itself.
func (p stored) forVector() string {
	text := ""
	for _, h := range p.Heading {
		text += h + "\n"
	}
	return text + p.Text
}
