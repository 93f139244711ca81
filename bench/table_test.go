package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table prints rows below each other.
func table(title string, header []string, rows [][]string) {
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	fmt.Println()
}

// at is the value below which that share of the sorted ones lies.
func at[T any](sorted []T, share float64) T {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return at(sorted, 0.5)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000)
}

// series is one side's rounds.
type series []measured

func (s series) of(f func(measured) float64) float64 {
	values := make([]float64, len(s))
	for i, m := range s {
		values[i] = f(m)
	}
	return median(values)
}

func (s series) rate() float64 { return s.of(measured.rate) }

var costs = []string{"", "jobs/s", "least-most", "× River", "statements/job", "WAL bytes/job", "µs CPU/job here", "in PostgreSQL", "PostgreSQL's connections (last round)"}

// row shows a series, and its rates by those of the rounds it took turns with.
func (s series) row(name string, by series) []string {
	rates := make([]float64, len(s))
	for i, m := range s {
		rates[i] = m.rate()
	}
	ratio, statements := "", "?"
	if len(by) == len(s) {
		ratios := make([]float64, len(s))
		for i := range s {
			ratios[i] = s[i].rate() / by[i].rate()
		}
		ratio = fmt.Sprintf("%.2f", median(ratios))
	}
	per := func(f func(measured) int64) float64 {
		return s.of(func(m measured) float64 { return float64(f(m)) / float64(m.jobs) })
	}
	if s[0].statements >= 0 {
		statements = fmt.Sprintf("%.3f", per(func(m measured) int64 { return m.statements }))
	}
	return []string{name, fmt.Sprintf("%.0f", s.rate()), fmt.Sprintf("%.0f-%.0f", slices.Min(rates), slices.Max(rates)), ratio, statements,
		fmt.Sprintf("%.0f", per(func(m measured) int64 { return m.wal })),
		fmt.Sprintf("%.0f", per(func(m measured) int64 { return m.own.Microseconds() })),
		fmt.Sprintf("%.0f", per(func(m measured) int64 { return m.server.Microseconds() })),
		s[len(s)-1].waits}
}
