package fleet

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"uaol/acceptance/world"
	"uaol/services"
)

// capacity is how much the fleet gets done at most, of the mix, a second.
func capacity(t testing.TB, c *Clients) float64 {
	t.Helper()
	warm, cancel := context.WithTimeout(t.Context(), time.Duration(Size(t, "UAOL_FLEET_WARM", 3)*float64(time.Second)))
	Saturate(warm, c.Mix(), 16, 1)
	cancel()
	full, cancel := context.WithTimeout(t.Context(), time.Duration(Size(t, "UAOL_FLEET_PROBE", 5)*float64(time.Second)))
	defer cancel()
	report := Saturate(full, c.Mix(), 32, 2)
	report.Print(os.Stdout, "capacity, 32 clients")
	if _, failed := report.Count(); failed > 0 {
		t.Errorf("%d operations failed before anything was done to the fleet", failed)
	}
	return report.Rate()
}

// underLoad does something to the fleet while clients ask for half of its capacity, for
// least at least, and holds everything against everything: no request fails, no process
// takes too long to end, and nothing is lost. do tells the longest that one took.
func underLoad(t *testing.T, f *Fleet, title string, least time.Duration, do func() time.Duration) {
	t.Helper()
	c := NewClients(t, world.Balance(t, f.URLs(services.Gateway)).URL, f.Tools)
	rate := capacity(t, c) / 2
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan *Report, 1)
	go func() { done <- Offer(ctx, c.Mix(), rate, 3) }()
	begun := time.Now()
	slowest := do()
	restarting := time.Since(begun)
	select {
	case <-time.After(least - restarting):
	case <-t.Context().Done():
	}
	cancel()
	report := <-done
	report.Print(os.Stdout, fmt.Sprintf("%s, %d processes, in %.0f s", title, len(f.Members), restarting.Seconds()))
	fmt.Printf("SIGTERM to exit: %.1f s at most\n", slowest.Seconds())
	books := f.Compare(t, c, false)
	fmt.Println(books)
	if _, failed := report.Count(); failed > 0 {
		t.Errorf("%d requests failed", failed)
	}
	if slowest > endsWithin {
		t.Errorf("a process took %s to end", slowest)
	}
	if len(books.Faults) > 0 {
		t.Errorf("%d faults", len(books.Faults))
	}
}

// endsWithin is how long a process may take from SIGTERM to its end.
const endsWithin = 25 * time.Second

// replace restarts every member with a program, one after the other, and tells how long
// the slowest took to end.
func (f *Fleet) replace(t *testing.T, program string) (slowest time.Duration) {
	t.Helper()
	for _, m := range f.Members {
		took, err := m.Stop()
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		slowest = max(slowest, took)
		m.program = program
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return slowest
}

// TestRollingRestart restarts every process of two of each service, one after the
// other, under load at half of the capacity: no request fails, and nothing is lost.
func TestRollingRestart(t *testing.T) {
	f := Start(t, Options{Replicas: 2, Redis: true})
	rounds := int(Size(t, "UAOL_FLEET_ROUNDS", 1))
	least := time.Duration(Size(t, "UAOL_FLEET_MINUTES", 0.1) * float64(time.Minute))
	underLoad(t, f, fmt.Sprintf("rolling restart, %d times", rounds), least, func() (slowest time.Duration) {
		for range rounds {
			slowest = max(slowest, f.replace(t, f.program))
		}
		return slowest
	})
}

// TestUpgrade brings two of each from an earlier commit to this one, with its migrations,
// and back, under the same load. UAOL_FLEET_FROM is that commit; without it the last one
// before the newest migration.
func TestUpgrade(t *testing.T) {
	from := os.Getenv("UAOL_FLEET_FROM")
	if from == "" {
		from = beforeTheNewestMigration(t)
	}
	old, now := ProgramOf(t, from), Program(t)
	f := Start(t, Options{Replicas: 2, Redis: true, Program: old})
	underLoad(t, f, "upgrade from "+from+" and back", 0, func() time.Duration {
		f.Migrate(t, now, "up")
		slowest := f.replace(t, now)
		return max(slowest, f.replace(t, old))
	})
}
