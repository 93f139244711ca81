package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/services/billing/chain"
)

// Finding is one thing that is wrong with the books: where, as far as that is
// known, and what.
type Finding struct {
	Organization uuid.UUID `json:"organizationId,omitzero"`
	Seq          int64     `json:"seq,omitempty"`
	Hold         uuid.UUID `json:"holdId,omitzero"`
	Spender      uuid.UUID `json:"spenderId,omitzero"`
	Seal         int64     `json:"seal,omitempty"`
	What         string    `json:"what"`
}

// String is the finding as one line.
func (f Finding) String() string {
	var where []string
	if f.Organization != uuid.Nil {
		where = append(where, "organisation "+f.Organization.String())
	}
	if f.Seq != 0 {
		where = append(where, fmt.Sprintf("entry %d", f.Seq))
	}
	if f.Hold != uuid.Nil {
		where = append(where, "hold "+f.Hold.String())
	}
	if f.Spender != uuid.Nil {
		where = append(where, "spender "+f.Spender.String())
	}
	if f.Seal != 0 {
		where = append(where, fmt.Sprintf("seal %d", f.Seal))
	}
	if len(where) == 0 {
		return f.What
	}
	return strings.Join(where, ", ") + ": " + f.What
}

// Unsealed are entries that no seal covers yet.
type Unsealed struct {
	Entries int64      `json:"entries"`
	Oldest  *time.Time `json:"oldest,omitempty"`
}

// Spenders are those that the books name.
type Spenders struct {
	All         int64 `json:"all"`
	Erased      int64 `json:"erased"`      // forgotten, with whom they stood for
	Uncommitted int64 `json:"uncommitted"` // whose ids commit to nothing: whom they stand for is the database's word
}

// Report is what came of looking at the books.
type Report struct {
	At            time.Time        `json:"at"` // when reading began, or the copy was made
	Organizations int64            `json:"organizations"`
	Entries       int64            `json:"entries"`
	Holds         int64            `json:"holds"`
	Spenders      Spenders         `json:"spenders"`
	Seals         int64            `json:"seals"`
	Head          *chain.Head      `json:"head,omitempty"` // the last seal's
	Heads         int64            `json:"heads"`          // published ones that are in the chain
	Unsealed      Unsealed         `json:"unsealed"`
	Credits       map[string]int64 `json:"credits"` // by ledger account, of all organisations together
	Findings      []Finding        `json:"findings"`
	More          int64            `json:"more,omitempty"` // findings beyond the first thousand
}

// mostFindings are listed; books that are wrong all over need no longer list.
const mostFindings = 1_000

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

func (r *Report) find(f Finding, format string, args ...any) {
	if len(r.Findings) >= mostFindings {
		r.More++
		return
	}
	f.What = fmt.Sprintf(format, args...)
	r.Findings = append(r.Findings, f)
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d organisations, %d entries, %d holds, %d seals", r.Organizations, r.Entries, r.Holds, r.Seals)
	if r.Heads > 0 {
		fmt.Fprintf(&b, ", %d published heads", r.Heads)
	}
	fmt.Fprintf(&b, ", as of %s\n", r.At.UTC().Format(time.RFC3339))
	if r.Head != nil {
		fmt.Fprintf(&b, "last seal: %d of %s, %s\n", r.Head.Number, r.Head.SealedAt.Format(time.RFC3339), r.Head.Digest)
	}
	fmt.Fprintf(&b, "%d spenders, %d of them erased", r.Spenders.All, r.Spenders.Erased)
	if r.Spenders.Uncommitted > 0 {
		fmt.Fprintf(&b, ", %d of before their ids committed to whom they stand for", r.Spenders.Uncommitted)
	}
	b.WriteString("\n")
	if r.Unsealed.Entries > 0 {
		fmt.Fprintf(&b, "not sealed yet: %d entries, the oldest of %s\n", r.Unsealed.Entries, r.Unsealed.Oldest.UTC().Format(time.RFC3339))
	}
	b.WriteString("credits:")
	for _, c := range columns(chain.Account{}) {
		if total, there := r.Credits[c.name]; there {
			fmt.Fprintf(&b, " %s %d,", c.name, total)
		}
	}
	text := strings.TrimSuffix(b.String(), ",") + "\n"
	if r.OK() {
		return text + "Nothing is wrong.\n"
	}
	lines := make([]string, 0, len(r.Findings)+1)
	for _, f := range r.Findings {
		lines = append(lines, "- "+f.String())
	}
	if r.More > 0 {
		lines = append(lines, fmt.Sprintf("- and %d more", r.More))
	}
	return text + fmt.Sprintf("%d findings:\n", int64(len(r.Findings))+r.More) + strings.Join(lines, "\n") + "\n"
}

type column struct {
	name  string
	value int64
}

// columns are an account's, by name.
func columns(a chain.Account) []column {
	return []column{
		{"available", a.Available}, {"held", a.Held}, {"grants", a.Grants}, {"purchases", a.Purchases}, {"transfers", a.Transfers},
		{"revenue", a.Revenue}, {"expired", a.Expired}, {"debt", a.Debt}, {"monthly", a.Monthly}, {"stale", a.Stale}, {"last_seq", a.LastSeq},
	}
}

// differences says, column by column, what an account holds and what it should.
func differences(is, should chain.Account) string {
	var all []string
	wanted := columns(should)
	for i, c := range columns(is) {
		if c.value != wanted[i].value {
			all = append(all, fmt.Sprintf("%s is %d, by the journal %d", c.name, c.value, wanted[i].value))
		}
	}
	return strings.Join(all, "; ")
}

// byPlace sorts findings by where they are.
func byPlace(a, b Finding) int {
	return cmp.Or(bytes.Compare(a.Organization[:], b.Organization[:]), cmp.Compare(a.Seq, b.Seq))
}
