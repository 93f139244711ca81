package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// settlesWithin is how long the last jobs and settlements may take after the load.
const settlesWithin = 3 * time.Minute

// Books are what is compared when a load is over: what clients were told, what the
// tool was asked, and what the database says.
type Books struct {
	Calls, Jobs, Files int // that clients were told of
	ToolCalls          int // that reached the tool
	Charged            int64
	Unknown            int64 // calls whose outcome nobody knows; they are charged
	Undecided          int   // jobs that wait for somebody's word about such a call
	Faults             []string
}

func (b *Books) String() string {
	text := fmt.Sprintf("told: %d calls, %d jobs, %d files; the tool was called %d times; charged %d; unknown %d, undecided jobs %d",
		b.Calls, b.Jobs, b.Files, b.ToolCalls, b.Charged, b.Unknown, b.Undecided)
	for _, fault := range b.Faults {
		text += "\n  FAULT: " + fault
	}
	return text
}

func (b *Books) fault(format string, args ...any) {
	if len(b.Faults) < 20 {
		b.Faults = append(b.Faults, fmt.Sprintf(format, args...))
	}
}

// Compare waits until nothing is under way and holds everything against everything:
// each call and job that clients were told of happened, once; what the tool was asked
// is what was charged; no accepted job and no stored file is missing; and `uaol ledger
// verify` finds the books in order. tolerant lets calls be charged of which nobody knows
// whether they reached the tool: what killed processes leave.
func (f *Fleet) Compare(t testing.TB, c *Clients, tolerant bool) *Books {
	t.Helper()
	f.settle(t)
	b := &Books{}
	c.mu.Lock()
	defer c.mu.Unlock()
	b.Calls, b.Jobs, b.Files = len(c.calls), len(c.jobs), len(c.files)
	said := f.Tools.Calls()
	for text, n := range said {
		b.ToolCalls += n
		if n > 1 && strings.HasPrefix(text, "call ") {
			b.fault("%q was called %d times", text, n)
		}
	}
	for _, text := range c.calls {
		if said[text] != 1 {
			b.fault("%q was answered and called %d times", text, said[text])
		}
	}
	status := map[string]string{}
	for _, line := range f.Database.Texts(t, `SELECT job_id::text || ' ' || coalesce(q.status, j.status) FROM uaol_jobs.jobs j LEFT JOIN uaol_jobs.queue q USING (job_id)`) {
		id, word, _ := strings.Cut(line, " ")
		status[id] = word
	}
	for id, text := range c.jobs {
		switch {
		case status[id] == "Success" && said[text] == 1:
		case status[id] == "Success":
			b.fault("job %s succeeded and its step was called %d times", id, said[text])
		case status[id] == "Running" && tolerant:
			b.Undecided++
		default:
			b.fault("job %s was accepted and is %q", id, status[id])
		}
	}
	files := map[string]bool{}
	for _, id := range f.Database.Texts(t, `SELECT file_id::text FROM uaol_storage.files`) {
		files[id] = true
	}
	for id := range c.files {
		if !files[id] {
			b.fault("file %s was stored and is gone", id)
		}
	}
	b.Charged = f.Database.Number(t, `SELECT coalesce(sum(revenue), 0)::bigint FROM uaol_billing.accounts`)
	b.Unknown = f.Database.Number(t, `SELECT count(*) FROM uaol_proxy.calls WHERE outcome = 'unknown'`)
	if b.Charged != int64(b.ToolCalls) && (!tolerant || b.Charged < int64(b.ToolCalls)-int64(b.Undecided) || b.Charged > int64(b.ToolCalls)+b.Unknown) {
		b.fault("%d credits were charged for %d calls of the tool", b.Charged, b.ToolCalls)
	}
	if held := f.Database.Number(t, `SELECT coalesce(sum(held), 0)::bigint FROM uaol_billing.accounts`); held != int64(b.Undecided) {
		b.fault("%d credits are still held", held)
	}
	if out, err := f.Run(t, "ledger", "verify"); err != nil {
		b.fault("uaol ledger verify: %v: %.500s", err, out)
	}
	return b
}

// settle waits until nothing is under way but what waits for somebody's word.
func (f *Fleet) settle(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(settlesWithin); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if f.Database.Number(t, `SELECT (SELECT count(*) FROM uaol_jobs.queue WHERE coalesce(wake_at, now()) < now() + interval '1 minute') + (SELECT count(*) FROM uaol_jobs.runs)
			+ (SELECT count(*) FROM uaol_billing.holds h WHERE state = 'open' AND NOT EXISTS
				(SELECT 1 FROM uaol_jobs.queue q WHERE q.job_id = h.hold_id AND q.wake_at > now() + interval '1 minute'))`) == 0 {
			return
		}
	}
}
