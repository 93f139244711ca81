package conformance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tasks is a profile with what the suite's scenarios for tasks call: saved workflows, as
// UAOL has tasks for these. It has no protocol_error_job, since a workflow that fails is a
// call whose result says so, and no test_tool_with_task, since none asks anything first.
func (p place) tasks(t *testing.T, tool string) (path string) {
	t.Helper()
	sleep := func(id, duration, when string) object {
		step := object{"id": id, "kind": "sleep", "duration": duration}
		if when != "" {
			step["when"] = when
		}
		return step
	}
	ask := func(id, message string) object {
		return object{"id": id, "kind": "approval", "message": message}
	}
	names := object{}
	for name, definition := range map[string]object{
		"greet": {"output": "Hello, {{input.name}}!", "steps": []object{sleep("now", "0s", "")}},
		"slow_compute": {"output": "{{input.label}}", "steps": []object{
			// What takes no longer than a second is no task.
			sleep("one", "1500ms", "input.seconds == 1"), sleep("two", "2s", "input.seconds == 2"), sleep("minute", "60s", "input.seconds == 60"),
		}},
		"failing_job": {"steps": []object{
			sleep("first", "1s", ""), {"id": "then", "tool_id": tool, "action": "test_error_handling", "depends_on": []string{"first"}},
		}},
		"confirm_delete": {"steps": []object{ask("sure", "Shall {{input.filename}} be deleted?")}},
		"multi_input":    {"steps": []object{ask("one", "The first?"), ask("other", "And the other?")}},
	} {
		made := p.user.Do(t, http.MethodPost, "/workflows", object{"name": name, "workflow_definition": definition})
		require.Equal(t, http.StatusCreated, made.Status, made)
		names[strings.ReplaceAll(name, "_", "-")] = name
	}
	profile := p.user.Do(t, http.MethodPost, "/profiles", object{"name": "tasks", "tools": []object{{"tool": "workflow", "prefix": "", "names": names}}})
	require.Equal(t, http.StatusCreated, profile.Status, profile)
	return "/mcp/p/tasks"
}
