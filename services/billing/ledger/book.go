package ledger

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/services/billing/chain"
)

// book is what is known of one organisation while it is read. Once an entry could
// not be applied, what follows from it is not looked at: all of it would be wrong.
type book struct {
	organization Organization
	report       *Report

	account chain.Account // as the entries have it
	holds   chain.Holds   // likewise; those that were met are taken out
	broken  bool          // the account is not known from here on
	torn    bool          // nor are the holds

	spenders map[uuid.UUID]bool // that have a row, or of which was told that they have none

	ranges []Range
	next   int         // range that is not complete yet
	tree   *chain.Tree // of its entries

	anything      bool // was there besides an account
	unsealed      int64
	unsealedFirst int64
	unsealedSince time.Time
}

func newBook(o Organization, report *Report) *book {
	return &book{organization: o, report: report, holds: chain.Holds{}, spenders: map[uuid.UUID]bool{}, tree: chain.NewTree()}
}

func (b *book) at() Finding { return Finding{Organization: b.organization.ID} }

func (b *book) addRange(r Range) {
	b.anything = true
	before := int64(0)
	if len(b.ranges) > 0 {
		before = b.ranges[len(b.ranges)-1].Last
	}
	if r.First != before+1 || r.Last < r.First {
		b.report.find(Finding{Organization: r.Organization, Seq: r.First, Seal: r.Number},
			"the range from %d to %d follows entry %d", r.First, r.Last, before)
	}
	b.ranges = append(b.ranges, r)
}

func (b *book) addEntry(e chain.Entry) {
	b.anything = true
	here := Finding{Organization: e.Organization, Seq: e.Seq}
	if !b.broken {
		if err := b.account.Apply(e); err != nil {
			b.broken = true
			b.report.find(here, "%s", err)
		}
	}
	if !b.torn {
		if err := b.holds.Apply(e); err != nil {
			b.torn = true
			b.report.find(here, "%s", err)
		}
	}
	b.meet(here, e.Spender)
	b.seal(e)
}

// seal puts an entry into its range.
func (b *book) seal(e chain.Entry) {
	for b.next < len(b.ranges) && e.Seq > b.ranges[b.next].Last {
		b.complete()
	}
	if b.next < len(b.ranges) {
		b.tree.Add(e.Leaf())
		return
	}
	if b.unsealed == 0 {
		b.unsealedFirst, b.unsealedSince = e.Seq, e.CreatedAt
	}
	b.unsealed++
	if e.CreatedAt.Before(b.unsealedSince) {
		b.unsealedSince = e.CreatedAt
	}
}

// complete compares a range with its entries.
func (b *book) complete() {
	r := b.ranges[b.next]
	if root := b.tree.Root(); b.tree.Size() != r.Size() || !bytes.Equal(root[:], r.Digest) {
		b.report.find(Finding{Organization: r.Organization, Seq: r.First, Seal: r.Number},
			"the entries from %d to %d are not those that were sealed", r.First, r.Last)
	}
	b.next++
	b.tree = chain.NewTree()
}

func (b *book) addHold(h Hold) {
	b.anything = true
	here := b.at()
	here.Hold = h.ID
	b.meet(here, h.Spender)
	if b.torn {
		return
	}
	held, there := b.holds[h.ID]
	if !there {
		b.report.find(here, "the journal does not have it")
		return
	}
	delete(b.holds, h.ID)
	if h.Amount != held.Amount || h.Settled != held.Settled {
		b.report.find(here, "%d of %d credits are settled, by the journal %d of %d", h.Settled, h.Amount, held.Settled, held.Amount)
	}
	if h.Spender == nil && held.Spender != uuid.Nil || h.Spender != nil && held.Spender != *h.Spender {
		b.report.find(here, "it is not the spender's that the journal names")
	}
	switch {
	case h.State != "open" && h.State != "closed":
		b.report.find(here, "it is %q", h.State)
	case h.State == "open" && held.Released > 0:
		b.report.find(here, "it is open, but by the journal released")
	case h.State == "closed" && held.Rest() > 0:
		b.report.find(here, "it is closed, but by the journal %d credits are still held", held.Rest())
	}
}

// close compares what the entries came to with what the account says.
func (b *book) close(now time.Time) {
	for b.next < len(b.ranges) {
		b.complete()
	}
	switch account := b.organization.Account; {
	case account == nil:
		if b.anything {
			b.report.find(b.at(), "it has no account")
		}
	case b.broken:
		if !account.Balanced() {
			b.report.find(b.at(), "what came in is not what is there or went out")
		}
	case *account != b.account:
		b.report.find(b.at(), "%s", differences(*account, b.account))
	}
	if !b.broken {
		if err := b.account.Rest(); err != nil {
			b.report.find(b.at(), "%s", err)
		}
	}
	if !b.torn {
		b.missingHolds()
	}
	b.reportUnsealed(now)
}

func (b *book) missingHolds() {
	var missing []uuid.UUID
	for id := range b.holds {
		missing = append(missing, id)
	}
	slices.SortFunc(missing, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	for _, id := range missing {
		here := b.at()
		here.Hold = id
		b.report.find(here, "the journal has it, but it is not there")
	}
}

func (b *book) reportUnsealed(now time.Time) {
	if b.unsealed == 0 {
		return
	}
	all := &b.report.Unsealed
	all.Entries += b.unsealed
	if all.Oldest == nil || b.unsealedSince.Before(*all.Oldest) {
		oldest := b.unsealedSince.UTC()
		all.Oldest = &oldest
	}
	if now.Sub(b.unsealedSince) > sealedWithin {
		here := b.at()
		here.Seq = b.unsealedFirst
		b.report.find(here, "%d entries from here on are not sealed, the oldest of %s", b.unsealed, b.unsealedSince.UTC().Format(time.RFC3339))
	}
}
