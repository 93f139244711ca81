package ledger

import (
	"context"
	"time"

	"uaol/services/billing/chain"
)

// Progress is how much of some books was read.
type Progress struct {
	Organizations int64 `json:"organizations"`
	Entries       int64 `json:"entries"`
	Seals         int64 `json:"seals"`
}

// looksEvery is how many entries are read between two looks at the clock.
const looksEvery = 256

// Watched gives a source that tells, about once in so much time, how far its reader has
// come. An error of tell's ends the reading: nobody waits for it any more.
func Watched(source Source, every time.Duration, tell func(Progress) error) Source {
	return watched{source: source, every: every, tell: tell}
}

type watched struct {
	source Source
	every  time.Duration
	tell   func(Progress) error
}

// Read implements Source.
func (w watched) Read(ctx context.Context, to Reader) error {
	return w.source.Read(ctx, &watching{Reader: to, watched: w, told: time.Now()})
}

// watching counts what a Reader is given.
type watching struct {
	Reader
	watched
	progress Progress
	told     time.Time
}

func (w *watching) look() error {
	if time.Since(w.told) < w.every {
		return nil
	}
	w.told = time.Now()
	return w.tell(w.progress)
}

// Organization implements Reader.
func (w *watching) Organization(o Organization) error {
	w.progress.Organizations++
	if err := w.look(); err != nil {
		return err
	}
	return w.Reader.Organization(o)
}

// Entry implements Reader.
func (w *watching) Entry(e chain.Entry) error {
	if w.progress.Entries++; w.progress.Entries%looksEvery == 0 {
		if err := w.look(); err != nil {
			return err
		}
	}
	return w.Reader.Entry(e)
}

// Seal implements Reader.
func (w *watching) Seal(s chain.Seal) error {
	if w.progress.Seals++; w.progress.Seals%looksEvery == 0 {
		if err := w.look(); err != nil {
			return err
		}
	}
	return w.Reader.Seal(s)
}
