package prove

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAuditFinds shows that the proof can fail: each thing that must not be is seen.
func TestAuditFinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		job    job
		status string
		step   stepState
		calls  record
		want   Report
		price  int64
	}{
		"as it should be":        {status: "Success", step: stepState{Status: "Success", Action: send, Credits: 3}, calls: record{effects: 1, arrivals: 1}, price: 3},
		"harmless, twice":        {status: "Success", step: stepState{Status: "Success", Action: look, Credits: 3}, calls: record{effects: 2, arrivals: 2}, price: 3},
		"gone on without":        {status: "Success", step: stepState{Status: "Skipped", Action: send, Credits: 3}, calls: record{effects: 1, arrivals: 1}},
		"to fail, and failed":    {job: job{fails: true}, status: "Failed", step: stepState{Status: "Failed", Action: send, Credits: 3}, calls: record{arrivals: 3}},
		"cancelled":              {job: job{cancel: true}, status: "Cancelled", step: stepState{Status: "Cancelled", Action: send, Credits: 3}},
		"done twice":             {status: "Success", step: stepState{Status: "Success", Action: send, Credits: 3}, calls: record{effects: 2, arrivals: 2}, price: 3, want: Report{Doubled: 1}},
		"twice under a key":      {status: "Success", step: stepState{Status: "Success", Action: book, Credits: 3}, calls: record{effects: 2, arrivals: 2}, price: 3, want: Report{Doubled: 1}},
		"twice, though given up": {job: job{cancel: true}, status: "Cancelled", step: stepState{Status: "Cancelled", Action: send}, calls: record{effects: 2}, want: Report{Doubled: 1}},
		"without an effect":      {status: "Success", step: stepState{Status: "Success", Action: look, Credits: 3}, price: 3, want: Report{Lost: 1}},
		"not there":              {status: "", want: Report{Lost: 1}},
		"not ended":              {status: "open", want: Report{Lost: 1}},
		"failed for no cause":    {status: "Failed", want: Report{Lost: 1}},
		"cancelled by nobody":    {status: "Cancelled", want: Report{Lost: 1}},
		"a failure passed":       {job: job{fails: true}, status: "Success", want: Report{Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.job.id, c.step.ID = "j", "s"
			p := &proof{tool: &toolServer{calls: map[string]*record{"j/s": &c.calls}}}
			var r Report
			p.judge(&r, &c.job, c.status, []stepState{c.step})
			require.Equal(t, c.price, p.count(&r, &c.job, []stepState{c.step}))
			require.Equal(t, []int{c.want.Lost, c.want.Doubled}, []int{r.Lost, r.Doubled}, r.Faults)
			require.Equal(t, c.want.Holds(), r.Holds())
		})
	}
	for _, bad := range []Report{{Lost: 1}, {Doubled: 1}, {Overdrawn: 1}, {Wrong: 1}} {
		require.False(t, bad.Holds())
	}
}
