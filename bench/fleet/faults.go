package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"uaol/services"
)

// Fault is something that happens to fleets. Happen brings it about and ends it again.
type Fault struct {
	Name    string
	Happen  func(ctx context.Context) error
	Unknown bool // it may leave calls of which nobody knows whether they were made
}

// away is how long what was killed stays away, until somebody notices.
const away = 3 * time.Second

// Faults are all that can be done to a fleet.
func (f *Fleet) Faults(t testing.TB) []Fault {
	t.Helper()
	faults := []Fault{
		{"PostgreSQL restarted", func(context.Context) error { return errors.Join(f.Database.Stop(), f.Database.Start()) }, false},
		{"PostgreSQL crashed", func(context.Context) error { return f.Database.Crash() }, false},
	}
	seen := map[services.Name]bool{}
	for _, m := range f.Members {
		if seen[m.Service] {
			continue
		}
		seen[m.Service] = true
		faults = append(faults, Fault{fmt.Sprintf("one of two %s killed", m.Service), func(ctx context.Context) error { return killed(ctx, m.Process) },
			m.Service == services.Proxy || m.Service == services.Jobs || m.Service == services.Gateway})
	}
	if f.Redis != nil {
		faults = append(faults, Fault{"Redis killed", func(ctx context.Context) error { return killed(ctx, f.Redis) }, false})
	}
	if f.NATS != nil {
		faults = append(faults, Fault{"NATS killed", func(ctx context.Context) error { return killed(ctx, f.NATS) }, false})
	}
	if f.clock != "" {
		faults = append(faults, Fault{"the database's clock set back by an hour", f.setBack, false})
	}
	if f.disk != "" {
		faults = append(faults, Fault{"the files' disk full", f.fill, false})
	}
	return faults
}

func killed(ctx context.Context, p *Process) error {
	if err := p.Kill(); err != nil {
		return err
	}
	select {
	case <-time.After(away):
	case <-ctx.Done():
	}
	return p.Start(context.WithoutCancel(ctx))
}

// setBack lets the database live an hour in the past for a while.
func (f *Fleet) setBack(ctx context.Context) error {
	if err := os.WriteFile(f.clock, []byte("-1h\n"), 0o644); err != nil {
		return err
	}
	select {
	case <-time.After(3 * away):
	case <-ctx.Done():
	}
	return os.WriteFile(f.clock, []byte("+0\n"), 0o644)
}

// fill leaves no byte on the disk that files are kept on, for a while.
func (f *Fleet) fill(ctx context.Context) error {
	ballast := filepath.Join(f.disk, "ballast")
	out, err := os.Create(ballast)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(ballast) }()
	for _, block := range []int{1 << 20, 4 << 10, 1} {
		zeros := make([]byte, block)
		for err == nil {
			_, err = out.Write(zeros)
		}
		err = nil
	}
	_ = out.Close()
	select {
	case <-time.After(away):
	case <-ctx.Done():
	}
	return os.Remove(ballast)
}
