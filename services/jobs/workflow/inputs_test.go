package workflow

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInputSchema(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []string
		want  string
	}{
		"nothing":          {[]string{tool("a", ``)}, `{"type":"object"}`},
		"all of it":        {[]string{tool("a", `,"parameters":{"x":"{{input}}"}`)}, `{"type":"object"}`},
		"a member":         {[]string{tool("a", `,"parameters":{"x":"{{input.m}}"}`)}, `{"type":"object","properties":{"m":{"description":"Read by the step a"}},"required":["m"]}`},
		"of a member":      {[]string{tool("a", `,"parameters":{"x":"{{input.o.m}} {{input.o.k}} {{input.o.m}}"}`)}, `{"type":"object","properties":{"o":{"type":"object","properties":{"m":{"description":"Read by the step a"},"k":{"description":"Read by the step a"}},"required":["m","k"]}},"required":["o"]}`},
		"of a list":        {[]string{tool("a", `,"parameters":{"x":"{{input.list.0.id}}"}`)}, `{"type":"object","properties":{"list":{}},"required":["list"]}`},
		"perhaps":          {[]string{tool("a", `,"when":"input.deep.m == 1","parameters":{"x":"{{input.k}}"}`)}, `{"type":"object","properties":{"deep":{"type":"object","properties":{"m":{"description":"Read by the step a"}}},"k":{"description":"Read by the step a"}}}`},
		"of each item":     {[]string{tool("a", `,"for_each":{"items":"{{input.list}}"},"parameters":{"x":"{{input.m}}"}`)}, `{"type":"object","properties":{"list":{"description":"Read by the step a"},"m":{"description":"Read by the step a"}},"required":["list"]}`},
		"in a named index": {[]string{tool("a", `,"when":"has(input.m) && input[\"k\"] == 1"`)}, `{"type":"object","properties":{"m":{"description":"Read by the step a"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.JSONEq(t, c.want, string(parsed(t, c.steps...).InputSchema()))
		})
	}
}
