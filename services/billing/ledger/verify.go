package ledger

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"uaol/services/billing/chain"
)

// Options say what books are measured by.
type Options struct {
	Trusted chain.Trusted // whose signatures count
	Heads   []chain.Head  // that were published: each has to be in the chain
	Now     time.Time     // by which entries have to be sealed; zero for when reading began
}

const (
	// sealedWithin is how soon entries have to be sealed.
	sealedWithin = 5 * time.Minute
	// underWay is how long the two sides of a transfer may seem apart: the one may
	// have been read just before it was made, and the other after.
	underWay = time.Minute
)

// Verify reads books from the first entry to the last and reports what does not
// add up. It keeps in memory what is said of one organisation, and of each seal
// and each transfer whose other side it has not met a few bytes. An error means
// that it could not read to the end.
func Verify(ctx context.Context, source Source, options Options) (*Report, error) {
	v := &verifier{
		report: &Report{Credits: map[string]int64{}, Findings: []Finding{}}, options: options,
		tallies: map[int64]*tally{}, pending: map[string][]side{}, heads: map[int64][]chain.Head{},
		previous: chain.Genesis(),
	}
	for _, head := range options.Heads {
		v.heads[head.Number] = append(v.heads[head.Number], head)
	}
	if err := source.Read(ctx, v); err != nil {
		return nil, err
	}
	v.finish()
	return v.report, nil
}

type verifier struct {
	report  *Report
	options Options
	through int64
	book    *book             // of the organisation that is being read
	pending map[string][]side // of transfers, by operation
	tallies map[int64]*tally  // by seal
	heads   map[int64][]chain.Head

	last     int64 // seal
	previous chain.Bytes
}

// tally is what the ranges of a seal come to.
type tally struct {
	tree    *chain.Tree
	entries int64
}

// side is one of a transfer's two.
type side struct {
	entry  Finding
	amount int64 // less than nothing when sent
	at     time.Time
}

// Begin implements Reader.
func (v *verifier) Begin(b Beginning) error {
	v.report.At, v.through = b.At.UTC(), b.Through
	if v.options.Now.IsZero() {
		v.options.Now = b.At
	}
	return nil
}

// Organization implements Reader.
func (v *verifier) Organization(o Organization) error {
	v.close()
	v.report.Organizations++
	v.book = newBook(o, v.report)
	if o.Account != nil {
		for _, c := range columns(*o.Account) {
			if c.name != "last_seq" {
				v.report.Credits[c.name] += c.value
			}
		}
	}
	return nil
}

// Range implements Reader.
func (v *verifier) Range(r Range) error {
	v.book.addRange(r)
	t := v.tallies[r.Number]
	if t == nil {
		t = &tally{tree: chain.NewTree()}
		v.tallies[r.Number] = t
	}
	t.tree.Add(r.Leaf())
	t.entries += r.Size()
	return nil
}

// Spender implements Reader.
func (v *verifier) Spender(s Spender) error {
	v.report.Spenders.All++
	v.book.addSpender(s)
	return nil
}

// Entry implements Reader.
func (v *verifier) Entry(e chain.Entry) error {
	v.report.Entries++
	v.book.addEntry(e)
	switch e.Kind {
	case chain.Send:
		v.meet(e, -e.Amount)
	case chain.Receive:
		v.meet(e, e.Amount)
	}
	return nil
}

// meet looks for the other side of a transfer.
func (v *verifier) meet(e chain.Entry, amount int64) {
	waiting := v.pending[e.Operation]
	if i := slices.IndexFunc(waiting, func(s side) bool { return s.amount == -amount }); i >= 0 {
		waiting = slices.Delete(waiting, i, i+1)
	} else {
		waiting = append(waiting, side{entry: Finding{Organization: e.Organization, Seq: e.Seq}, amount: amount, at: e.CreatedAt})
	}
	if v.pending[e.Operation] = waiting; len(waiting) == 0 {
		delete(v.pending, e.Operation)
	}
}

// Hold implements Reader.
func (v *verifier) Hold(h Hold) error {
	v.report.Holds++
	v.book.addHold(h)
	return nil
}

// Seal implements Reader.
func (v *verifier) Seal(s chain.Seal) error {
	v.close()
	v.report.Seals++
	here := Finding{Seal: s.Number}
	if s.Number != v.last+1 {
		v.report.find(here, "it follows seal %d", v.last)
	}
	if !bytes.Equal(s.Previous, v.previous) {
		v.report.find(here, "it was made for another seal before it")
	}
	if err := v.options.Trusted.Check(s); err != nil {
		v.report.find(here, "%s", err)
	}
	if t := v.tallies[s.Number]; t == nil {
		v.report.find(here, "it has no ranges")
	} else {
		if root := t.tree.Root(); !bytes.Equal(root[:], s.Root) {
			v.report.find(here, "its ranges are not those that were sealed")
		}
		if t.entries != s.Entries {
			v.report.find(here, "it covers %d entries, by its ranges %d", s.Entries, t.entries)
		}
	}
	delete(v.tallies, s.Number)
	head := s.Head()
	for _, published := range v.heads[s.Number] {
		if bytes.Equal(published.Digest, head.Digest) {
			v.report.Heads++
		} else {
			v.report.find(here, "another one was published under this number, with the digest %s; this one has %s", published.Digest, head.Digest)
		}
	}
	delete(v.heads, s.Number)
	v.last, v.previous, v.report.Head = s.Number, head.Digest, &head
	return nil
}

// close ends the book that was being read.
func (v *verifier) close() {
	if v.book == nil {
		return
	}
	v.book.close(v.options.Now)
	v.book = nil
}

// finish looks at what was left over.
func (v *verifier) finish() {
	v.close()
	if v.last != v.through {
		v.report.find(Finding{}, "the chain ends with seal %d; there were seals up to %d when reading began", v.last, v.through)
	}
	for _, number := range slices.Sorted(maps.Keys(v.tallies)) {
		v.report.find(Finding{Seal: number}, "there are ranges of it, but it is not there")
	}
	for _, number := range slices.Sorted(maps.Keys(v.heads)) {
		v.report.find(Finding{Seal: number}, "it was published, but the chain, which ends with seal %d, does not have it", v.last)
	}
	var lonely []Finding
	for operation, sides := range v.pending {
		for _, s := range sides {
			if s.at.After(v.report.At.Add(-underWay)) {
				continue
			}
			s.entry.What = "the transfer " + operation + " was sent, but not received so by anybody"
			if s.amount > 0 {
				s.entry.What = "the transfer " + operation + " was received, but not sent so by anybody"
			}
			lonely = append(lonely, s.entry)
		}
	}
	slices.SortFunc(lonely, byPlace)
	for _, f := range lonely {
		v.report.find(f, "%s", f.What)
	}
}
