package fleet

import (
	"context"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"

	"uaol/services"
)

// spending is what a fleet has taken so far.
type spending struct {
	ours, database time.Duration // of processors
	wal, stored    int64         // bytes that the database wrote, and that lie in it
}

func (f *Fleet) spent(t testing.TB) (s spending) {
	t.Helper()
	for _, m := range f.Members {
		s.ours += m.cpu()
	}
	s.database = f.Database.cpu(t)
	s.wal = f.Database.Number(t, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`)
	s.stored = f.Database.Number(t, `SELECT pg_database_size(current_database())`)
	return s
}

// TestCosts tells what each kind of operation takes of processors, of ours and of the
// database's, how much the database writes ahead for it, and how much of it stays there:
// what docs/scale.md reckons with. A job is one with a single step; what became of it is
// waited for.
func TestCosts(t *testing.T) {
	f := Start(t, Options{Redis: true})
	c := NewClients(t, f.URLs(services.Gateway)[0], f.Tools)
	capacity(t, c)
	long := time.Duration(Size(t, "UAOL_FLEET_MINUTES", 0.02) * float64(time.Minute))
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tnumber\ta second\tours\tdatabase's\twritten ahead\tstays\tprocessors a million\t")
	for _, op := range c.Mix() {
		if op.Name == "follow" { // a job and its stream
			continue
		}
		f.settle(t)
		before := f.spent(t)
		ctx, cancel := context.WithTimeout(t.Context(), long)
		report := Saturate(ctx, []Operation{op}, 16, 5)
		cancel()
		f.settle(t)
		after := f.spent(t)
		all, failed := report.Count()
		if failed > 0 {
			t.Errorf("%d of %d of %q failed: %v", failed, all, op.Name, report.Faults())
		}
		n := time.Duration(all)
		ours, database := (after.ours-before.ours)/n, (after.database-before.database)/n
		each := func(from, to int64) string { return fmt.Sprintf("%.2f KB", float64(to-from)/1024/float64(all)) }
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%s\t%s\t%s\t%s\t%.1f min\t\n", op.Name, all, report.Rate(), ms(ours), ms(database),
			each(before.wal, after.wal), each(before.stored, after.stored), ((ours + database) * 1_000_000).Minutes())
	}
	fmt.Println()
	_ = table.Flush()
}
