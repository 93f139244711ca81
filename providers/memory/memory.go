// Package memory lets the garbage collector use the memory there is.
package memory

import (
	"log/slog"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// percent is how much may be allocated for each byte that is in use before the
// collector runs. Little is in use while a lot comes and goes: at Go's 100 a quarter
// of a busy job engine's time is the collector's, at 400 a tenth (make bench-jobs).
const percent = 400

// Use sets the collector up, before there is any work. It collects harder where the
// machine's memory, or that of its container, comes to an end. Go's own variables,
// GOGC and GOMEMLIMIT, count before all of this.
func Use(lookup func(name string) (string, bool)) {
	if _, set := lookup("GOGC"); !set {
		debug.SetGCPercent(percent)
	}
	if _, set := lookup("GOMEMLIMIT"); set {
		return
	}
	// Without a limit that can be read there is none, as before.
	_, _ = memlimit.Set(
		memlimit.WithRatio(0.8),
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
		memlimit.WithLogger(slog.New(slog.DiscardHandler)),
	)
}
