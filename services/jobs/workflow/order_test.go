package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// drawDefinition makes a definition that may be good or have a cycle, unknown
// ids, duplicates, and approvals and compensations that may not be.
func drawDefinition(t *rapid.T) string {
	ids := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}), 1, 7).Draw(t, "ids")
	if rapid.Bool().Draw(t, "distinct") {
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	names := rapid.SampledFrom(ids)
	if rapid.Bool().Draw(t, "unknown") {
		names = rapid.SampledFrom(append([]string{"zz"}, ids...))
	}
	few := rapid.SliceOfN(names, 0, 1)
	steps := make([]string, len(ids))
	for i, id := range ids {
		step := map[string]any{"id": id, "tool_id": aTool, "action": "do", "depends_on": few.Draw(t, "needs")}
		switch rapid.IntRange(0, 7).Draw(t, "sort") {
		case 0:
			step = map[string]any{"id": id, "kind": "approval", "approves": names.Draw(t, "approves")}
		case 1:
			step["on_error"] = map[string]any{"compensate": names.Draw(t, "compensation")}
		case 2:
			step["when"] = fmt.Sprintf("steps.%s.status == 'Success'", names.Draw(t, "condition"))
		case 3:
			step["for_each"] = map[string]any{"items": "{{" + names.Draw(t, "items") + ".result}}"}
		case 4:
			step["parameters"] = map[string]any{"x": []string{"x {{" + names.Draw(t, "ref") + ".result.y}}", "{{ " + names.Draw(t, "ref") + ".error }}"}}
		}
		text, err := json.Marshal(step)
		require.NoError(t, err)
		steps[i] = string(text)
	}
	return definitionOf(steps...)
}

// hasOrder is the same question asked naively.
func hasOrder(steps []Step) bool {
	done := map[int]bool{}
	for range steps {
		for i, s := range steps {
			if !slices.ContainsFunc(s.Needs, func(need int) bool { return !done[need] }) {
				done[i] = true
			}
		}
	}
	return len(done) == len(steps)
}

// sound checks what is true of every accepted definition.
func sound(t require.TestingT, d *Definition) {
	require.True(t, hasOrder(d.Steps))
	for i, s := range d.Steps {
		found, ok := d.Index(s.ID)
		require.True(t, ok)
		require.Equal(t, i, found)
		require.True(t, slices.IsSorted(s.Needs))
		require.Len(t, slices.Compact(slices.Clone(s.Needs)), len(s.Needs))
		for _, need := range s.Needs {
			require.Contains(t, d.Steps[need].NeededBy, i)
			require.False(t, d.Steps[need].Compensation)
		}
		for _, other := range s.NeededBy {
			require.Contains(t, d.Steps[other].Needs, i)
		}
		if s.Compensate != none {
			require.Equal(t, Compensate, s.OnError)
			require.True(t, d.Steps[s.Compensate].Compensation)
			require.False(t, s.Compensation)
		}
		if s.ApprovedBy != none {
			by := d.Steps[s.ApprovedBy]
			require.Equal(t, i, by.Approval.Approves)
			for _, need := range s.Needs {
				require.True(t, need == s.ApprovedBy || slices.Contains(by.Needs, need))
			}
		}
		members := 0
		for _, there := range []bool{s.Tool != nil, s.LLM != nil, s.Approval != nil, s.Sleep != nil, s.Child != nil} {
			if there {
				members++
			}
		}
		require.Equal(t, 1, members)
	}
}

func TestAcceptedDefinitionsHaveAnOrder(t *testing.T) {
	t.Parallel()
	accepted, stuck := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawDefinition(t)
		d, err := Parse(json.RawMessage(text))
		if err == nil {
			accepted++
			sound(t, d)
			return
		}
		// What was refused for its order alone has none.
		faults := faultsOf(t, err)
		left, ok := strings.CutPrefix(faults[0].Message, "these steps wait for each other: ")
		if !ok {
			return
		}
		stuck++
		steps := readSteps(t, text)
		require.False(t, hasOrder(steps), text)
		// Each of those named waits for one of those named, and is waited for by one.
		named := strings.Split(left, ", ")
		among := func(all []int) bool {
			return slices.ContainsFunc(all, func(i int) bool { return slices.Contains(named, steps[i].ID) })
		}
		for _, s := range steps {
			if slices.Contains(named, s.ID) {
				require.True(t, among(s.Needs))
				require.True(t, among(s.NeededBy))
			}
		}
	})
	t.Logf("%d were accepted, %d had no order", accepted, stuck)
}

// readSteps gives the steps of a definition whose order is its only fault.
func readSteps(t require.TestingT, text string) []Step {
	members := decoded(t, text).(map[string]any)
	steps := members["steps"].([]any)
	p := parser{d: &Definition{Steps: make([]Step, len(steps)), index: map[string]int{}}, needs: make([][]int, len(steps))}
	p.definition(members, steps)
	require.Len(t, p.faults, 1)
	return p.d.Steps
}

// One definition serves many goroutines; the race detector watches.
func TestDefinitionsAreShared(t *testing.T) {
	t.Parallel()
	d := parsed(t, tool("a", `,"when":"input.n == steps.b.result.n","parameters":{"x":["{{b.result.n}}","{{input}}"]}`), tool("b", ""))
	var all errgroup.Group
	for n := range 8 {
		all.Go(func() error {
			number := json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
			scope := Scope{Input: number, Results: results(map[int]string{1: string(number)})}
			for range 50 {
				ok, err := d.Steps[0].When.True(context.Background(), scope)
				filled, failed := d.Steps[0].Tool.Parameters.Fill(scope)
				if want := fmt.Sprintf(`{"x":[%d,{"n":%d}]}`, n, n); !ok || err != nil || failed != nil || string(filled) != want {
					return fmt.Errorf("%v and %s: %w", ok, filled, errors.Join(err, failed))
				}
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
}
