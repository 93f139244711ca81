package bench

import (
	"context"
	"fmt"
	"testing"
)

// TestThroughput: jobs of one step that does nothing. All that is durable is
// written: the job, what its step came to, its end, and with a price the hold, the
// charge and its release.
func TestThroughput(t *testing.T) {
	n := size(t, "UAOL_BENCH_JOBS", 2000)
	sides := []side{riverSide("River", n, func(context.Context) error { return nil })}
	for _, price := range []int64{0, 1} {
		sides = append(sides, uaolSide(fmt.Sprintf("uaol, price %d", price), n, price, withNothing(price, true)))
	}
	compare(t, fmt.Sprintf("%d jobs of a step that does nothing", n), sides)
}

// side is one of those that take turns.
type side struct {
	name string
	// both makes jobs and works on them at the same time; burn works on those
	// that are there already.
	both, burn func(t testing.TB) measured
}

func compare(t *testing.T, title string, sides []side) {
	t.Helper()
	header := costs
	if alone() {
		sides = sides[1:]
		header = append([]string{}, costs...)
		header[3] = "× first"
	}
	both, burn := make([]series, len(sides)), make([]series, len(sides))
	for range rounds(t) {
		for i, s := range sides {
			both[i], burn[i] = append(both[i], s.both(t)), append(burn[i], s.burn(t))
		}
	}
	for _, way := range []struct {
		name   string
		series []series
	}{{"from the first insert to the last end", both}, {"burning down what is there", burn}} {
		var rows [][]string
		for i, s := range sides {
			rows = append(rows, way.series[i].row(s.name, way.series[0]))
		}
		table(fmt.Sprintf("%s, %s; medians of %d", title, way.name, rounds(t)), header, rows)
	}
}

func riverSide(name string, n int, do func(context.Context) error) side {
	run := func(t testing.TB, first bool) measured {
		t.Helper()
		d := newDatabase(t, false)
		r := startRiver(t, d, n, do)
		if first {
			r.create(t, n)
		} else {
			r.work(t)
		}
		m := d.measure(t, n, func() {
			if first {
				r.work(t)
			} else {
				r.create(t, n)
			}
			r.wait(t, n)
		})
		r.succeeded(t, n)
		r.stop(t)
		d.drop(t)
		return m
	}
	return side{name: name,
		both: func(t testing.TB) measured { return run(t, false) },
		burn: func(t testing.TB) measured { return run(t, true) }}
}

func uaolSide(name string, n int, price int64, with equip) side {
	run := func(t testing.TB, first bool) measured {
		t.Helper()
		d := newDatabase(t, true)
		counting := &counter{}
		u := startUAOL(t, d, with, counting)
		u.enrich(t)
		job := request(t, u.step("a"))
		if first {
			u.create(t, u.caller, n, job)
		} else {
			u.work()
		}
		u.expect(n)
		before := counting.statements.Load()
		m := d.measure(t, n, func() {
			if first {
				u.work()
			} else {
				u.create(t, u.caller, n, job)
			}
			u.wait(t)
		})
		if tellsStatements() {
			d.tellTables(t)
		}
		if m.statements < 0 {
			m.statements = counting.statements.Load() - before
		}
		u.succeeded(t, n, price)
		u.stop()
		d.drop(t)
		return m
	}
	return side{name: name,
		both: func(t testing.TB) measured { return run(t, false) },
		burn: func(t testing.TB) measured { return run(t, true) }}
}
