package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/stretchr/testify/require"
)

// flow is one of those that run a workflow of three steps which do nothing, one
// after the other, and wait for its end.
type flow struct {
	name string
	run  func(testing.TB)
	// database is where it writes; nil if that is elsewhere.
	database *database
	took     []time.Duration
}

// TestLatency: one workflow at a time on an idle machine. They take turns.
func TestLatency(t *testing.T) {
	runs := size(t, "UAOL_BENCH_RUNS", 20)
	flows := append([]*flow{durable(t)}, ours(t)...)
	if !alone() {
		flows = append(flows, dbosFlow(t))
		if f, why := restateFlow(t); f != nil {
			flows = append(flows, f)
		} else {
			fmt.Println("\nwithout Restate:", why)
		}
	}
	for _, f := range flows {
		for range max(runs/10, 5) { // what is made once is made here
			f.run(t)
		}
	}
	for range runs {
		for _, f := range flows {
			begun := time.Now()
			f.run(t)
			f.took = append(f.took, time.Since(begun))
		}
	}
	var rows [][]string
	for _, f := range flows {
		slices.Sort(f.took)
		row := []string{f.name, milliseconds(at(f.took, 0.5)), milliseconds(at(f.took, 0.95)), milliseconds(f.took[0]), "-", "-"}
		if f.database != nil { // in a row of their own, so that what is counted is one's own
			few := max(runs/10, 5)
			m := f.database.measure(t, few, func() {
				for range few {
					f.run(t)
				}
			})
			row[4] = fmt.Sprintf("%.0f", float64(m.wal)/float64(few))
			if m.statements >= 0 {
				row[5] = fmt.Sprintf("%.1f", float64(m.statements)/float64(few))
			}
		}
		rows = append(rows, row)
	}
	table(fmt.Sprintf("a workflow of three steps that do nothing, one after the other, %d times, in turns", runs),
		[]string{"", "median ms", "p95 ms", "least ms", "WAL bytes", "statements"}, rows)
}

// durable is the least that can be waited for: one row, on the disk.
func durable(t *testing.T) *flow {
	t.Helper()
	d := newDatabase(t, false)
	pool := d.pool(t, nil)
	t.Cleanup(pool.Close)
	_, err := pool.Exec(t.Context(), `CREATE TABLE public.bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text)`)
	require.NoError(t, err)
	return &flow{name: "one INSERT, for comparison", database: d, run: func(t testing.TB) {
		if _, err := pool.Exec(t.Context(), `INSERT INTO public.bare (x) VALUES ('{"content":[]}')`); err != nil {
			t.Fatal(err)
		}
	}}
}

// ours are the engine in three ways, each with a process of its own as far as the
// database can tell. The end is seen when it is told in the process, after commit.
func ours(t *testing.T) (flows []*flow) {
	for _, way := range []struct {
		name       string
		price      int64
		repeatable bool
	}{{"uaol", 0, true}, {"uaol, calls that may not be repeated", 0, false}, {"uaol, a credit a step", 1, true}} {
		d := newDatabase(t, true)
		u := startUAOL(t, d, withNothing(way.price, way.repeatable), nil)
		u.enrich(t)
		u.work()
		t.Cleanup(u.stop)
		in := request(t, u.step("a"), u.step("b", "a"), u.step("c", "b"))
		flows = append(flows, &flow{name: way.name, database: d, run: func(t testing.TB) {
			u.expect(1)
			if _, err := u.service.Create(t.Context(), u.caller, in); err != nil {
				t.Fatal(err)
			}
			<-u.all
		}})
	}
	return flows
}

// dbosFlow is DBOS, which runs workflows in the process that asks for them.
func dbosFlow(t *testing.T) *flow {
	t.Helper()
	d := newDatabase(t, false)
	pool := d.pool(t, nil)
	t.Cleanup(pool.Close)
	ctx, err := dbos.NewContext(context.Background(), dbos.Config{AppName: "bench", SystemDBPool: pool, Logger: quiet})
	require.NoError(t, err)
	three := func(ctx dbos.Context, in string) (out string, err error) {
		for range 3 {
			if out, err = dbos.RunAsStep(ctx, func(context.Context) (string, error) { return `{"content":[]}`, nil }); err != nil {
				return "", err
			}
		}
		return out, nil
	}
	dbos.RegisterWorkflow(ctx, three, dbos.WithWorkflowName("three"))
	require.NoError(t, dbos.Launch(ctx))
	t.Cleanup(func() { _ = dbos.Shutdown(ctx, 5*time.Second) })
	return &flow{name: "DBOS", database: d, run: func(t testing.TB) {
		handle, err := dbos.RunWorkflow(ctx, three, "x")
		if err == nil {
			_, err = handle.GetResult()
		}
		if err != nil {
			t.Fatal(err)
		}
	}}
}
