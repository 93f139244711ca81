package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

var errFull = errors.New("too many operations are under way")

// Report is what became of all operations.
type Report struct {
	mu       sync.Mutex
	outcomes []outcome
	offered  time.Duration // for how long
}

func newReport() *Report { return &Report{} }

func (r *Report) add(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}

// Count is how many there were, and how many failed.
func (r *Report) Count() (all, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.outcomes {
		if all++; o.err != nil {
			failed++
		}
	}
	return all, failed
}

// Rate is how many succeeded a second.
func (r *Report) Rate() float64 {
	all, failed := r.Count()
	return float64(all-failed) / r.offered.Seconds()
}

// Right is the share of operations that were answered as they should be.
func (r *Report) Right() float64 {
	all, failed := r.Count()
	return float64(all-failed) / float64(max(all, 1))
}

// At is the time within which a share of operations was answered.
func (r *Report) At(share float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := make([]time.Duration, 0, len(r.outcomes))
	for _, o := range r.outcomes {
		took = append(took, o.took)
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(share*float64(len(took))), len(took)-1)]
}

// apart is the pause after which errors count as another window.
const apart = time.Second

// Window is the longest time in which errors came within a second of each other.
func (r *Report) Window() (longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ends []time.Time
	for _, o := range r.outcomes {
		if o.err != nil {
			ends = append(ends, o.begun.Add(o.took))
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i, from := 0, 0; i < len(ends); i++ {
		if i > 0 && ends[i].Sub(ends[i-1]) > apart {
			from = i
		}
		longest = max(longest, ends[i].Sub(ends[from]))
	}
	return longest
}

// Faults are the errors, with how often each came, the most frequent first.
func (r *Report) Faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := map[string]int{}
	for _, o := range r.outcomes {
		if o.err != nil {
			count[o.name+": "+strings.TrimSpace(o.err.Error())]++
		}
	}
	var lines []string
	for text, n := range count {
		lines = append(lines, fmt.Sprintf("%6d × %.300s", n, text))
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(b, a) })
	return lines
}

// Print writes a table: each operation's number, errors and times.
func (r *Report) Print(out io.Writer, title string) {
	r.mu.Lock()
	by := map[string][]time.Duration{}
	failed := map[string]int{}
	for _, o := range r.outcomes {
		by[o.name] = append(by[o.name], o.took)
		by[""] = append(by[""], o.took)
		if o.err != nil {
			failed[o.name]++
			failed[""]++
		}
	}
	r.mu.Unlock()
	fmt.Fprintf(out, "\n%s: %.0f s, %.0f a second\n", title, r.offered.Seconds(), float64(len(by[""]))/r.offered.Seconds())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tnumber\tfailed\tp50\tp95\tp99\tmost\t")
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range append(names[1:], names[:1]...) {
		took := by[name]
		slices.Sort(took)
		at := func(share float64) string { return ms(took[min(int(share*float64(len(took))), len(took)-1)]) }
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t\n", cmp.Or(name, "all"), len(took), failed[name], at(0.5), at(0.95), at(0.99), at(1))
	}
	_ = table.Flush()
	for i, line := range r.Faults() {
		if i == 15 {
			fmt.Fprintln(out, "  …")
			break
		}
		fmt.Fprintln(out, line)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
