package fleet

import (
	"context"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"

	"uaol/acceptance/world"
	"uaol/services"
)

// around is how long a fault's load goes on before and after it.
func around(t testing.TB) time.Duration {
	return time.Duration(Size(t, "UAOL_FLEET_AROUND", 1) * float64(time.Second))
}

// TestFaults brings about one fault after the other, each under load at half of the
// capacity, and tells what each costs. Errors while it lasts are told, not judged; what
// must not be is that something is lost, done twice or charged wrongly.
func TestFaults(t *testing.T) {
	f := Start(t, Options{Replicas: 2, Redis: true, NATS: withNATS(), Clock: true, Disk: true})
	c := NewClients(t, world.Balance(t, f.URLs(services.Gateway)).URL, f.Tools)
	rate := capacity(t, c) / 2
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "fault\trequests\tfailed\tlongest window\tp99\tfrom the fault to its end")
	tolerant := false
	for i, fault := range f.Faults(t) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan *Report, 1)
		go func() { done <- Offer(ctx, c.Mix(), rate, uint64(i)) }()
		time.Sleep(around(t)) // the load before it
		begun := time.Now()
		if err := fault.Happen(ctx); err != nil {
			t.Fatalf("%s: %v", fault.Name, err)
		}
		took := time.Since(begun)
		time.Sleep(around(t)) // and after it
		cancel()
		report := <-done
		report.Print(os.Stdout, fault.Name)
		all, failed := report.Count()
		fmt.Fprintf(table, "%s\t%d\t%d\t%.1f s\t%s\t%.1f s\n", fault.Name, all, failed, report.Window().Seconds(), ms(report.At(0.99)), took.Seconds())
		tolerant = tolerant || fault.Unknown
		books := f.Compare(t, c, tolerant)
		fmt.Println(books)
		if len(books.Faults) > 0 {
			t.Errorf("%s: %d faults", fault.Name, len(books.Faults))
		}
	}
	fmt.Println()
	_ = table.Flush()
}

// TestEndurance is a long load with a fault every two minutes.
func TestEndurance(t *testing.T) {
	f := Start(t, Options{Replicas: 2, Redis: true, NATS: withNATS(), Clock: true})
	c := NewClients(t, world.Balance(t, f.URLs(services.Gateway)).URL, f.Tools)
	rate := capacity(t, c) / 2
	long := time.Duration(Size(t, "UAOL_FLEET_MINUTES", 0.3) * float64(time.Minute))
	every := min(2*time.Minute, long/3)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	done := make(chan *Report, 1)
	go func() { done <- Offer(ctx, c.Mix(), rate, 7) }()
	faults, happened := f.Faults(t), 0
	for ticker := time.NewTicker(every); ctx.Err() == nil; happened++ {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			fault := faults[happened%len(faults)]
			fmt.Println(time.Now().Format(time.TimeOnly), fault.Name)
			if err := fault.Happen(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("%s: %v", fault.Name, err)
			}
		}
	}
	report := <-done
	report.Print(os.Stdout, fmt.Sprintf("endurance: %.0f minutes, a fault every %s", long.Minutes(), every))
	fmt.Printf("answered correctly: %.4f %%; longest window of errors: %.1f s\n", 100*report.Right(), report.Window().Seconds())
	books := f.Compare(t, c, true)
	fmt.Println(books)
	if len(books.Faults) > 0 {
		t.Errorf("%d faults", len(books.Faults))
	}
	if os.Getenv("UAOL_FLEET_MINUTES") != "" && report.Right() < 0.9999 {
		t.Errorf("%.4f %% were answered correctly", 100*report.Right())
	}
}

func withNATS() bool { return os.Getenv("UAOL_FLEET_NATS") != "off" }
