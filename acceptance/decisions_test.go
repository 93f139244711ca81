package acceptance

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// decidedWithin is how long an admin's decision about a tool may take to reach every
// process.
const decidedWithin = time.Second

// TestDecisionsReachEveryProcess: two processes have nothing in common but the
// database. An approval that is withdrawn at one of them, and a price that is
// changed there, count at the other in time, although it has just called the
// tool and keeps what it knows of it. UAOL_TEST_TRIALS=200 tries each so often.
func TestDecisionsReachEveryProcess(t *testing.T) {
	trials := trials(t, 20)
	tools := world.StartTools(t, "127.0.0.1")
	w := world.Replicas(t, unlimited(tools.Host()), 2)
	here, there := world.New(w.Replicas[0]), world.New(w.Replicas[1])
	admin, owner := here.As(w.AdminKey), register(t, here)
	approved := func(t *testing.T) string {
		made := owner.Do(t, http.MethodPost, "/tools", object{"name": "x", "gateway_url": tools.URL + "/mcp", "credit_cost_per_call": 0})
		require.Equal(t, http.StatusCreated, made.Status, made)
		answer := admin.Do(t, http.MethodPost, "/tools/"+made.Text("data.tool_id")+"/approve", nil)
		require.Equal(t, http.StatusOK, answer.Status, answer)
		return made.Text("data.tool_id")
	}
	called := object{"method": "echo", "params": object{"text": "x"}}
	// There, tools are kept in mind once the decisions of others are being
	// followed, which begins with the first call.
	for known, begun := approved(t), time.Now(); time.Since(begun) < decidedWithin; {
		require.Equal(t, http.StatusOK, at(owner, there).Do(t, http.MethodPost, "/proxy/"+known+"/call", called).Status)
	}
	for _, way := range []struct {
		name    string
		arrange func(t *testing.T) (decide, counts func() bool)
	}{
		{"an approval withdrawn", func(t *testing.T) (func() bool, func() bool) {
			tool := approved(t)
			return does(t, admin, http.MethodPost, "/tools/"+tool+"/disable", nil),
				answers(t, at(owner, there), http.StatusNotFound, http.MethodPost, "/proxy/"+tool+"/call", called)
		}},
		{"a price changed", func(t *testing.T) (func() bool, func() bool) {
			tool := approved(t)
			changed := owner.Do(t, http.MethodPut, "/tools/"+tool, object{"credit_cost_per_call": 1_000_000_000})
			require.Equal(t, http.StatusOK, changed.Status, changed)
			return does(t, admin, http.MethodPost, "/tools/"+tool+"/approve", nil),
				answers(t, at(owner, there), http.StatusPaymentRequired, http.MethodPost, "/proxy/"+tool+"/call", called)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			worst := worstOf(t, trials, way.arrange)
			t.Logf("%s: counts everywhere after %s at most, %d trials", way.name, worst.Round(10*time.Millisecond), trials)
			require.Less(t, worst, decidedWithin)
		})
	}
}
