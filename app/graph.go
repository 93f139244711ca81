package app

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"go.uber.org/fx"

	"uaol/providers/config"
	"uaol/services"
)

// Graph is the dependency graph of a process that runs the given services, as
// DOT: an arrow points from a type to what it is built from.
func Graph(set ...services.Name) (string, error) {
	edges, err := edgesOf(set)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("digraph uaol {\n\trankdir=LR;\n\tnode [shape=box];\n")
	for _, e := range edges {
		fmt.Fprintf(&b, "\t%q -> %q;\n", e.from, e.to)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// Chain is the part of the graph that the container's guarantee rests on, with
// one service as the example for all, as Mermaid: an arrow points from what is
// there first to what needs it.
func Chain(example services.Name) (string, error) {
	edges, err := edgesOf(nil)
	if err != nil {
		return "", err
	}
	name := string(example)
	shown := []string{
		"*config.Environment", "postgres.Config", "group configs", "config.Checked", "*pgxpool.Pool",
		"*" + name + ".Repository", "*" + name + ".Service", "*" + name + ".Handler",
		"group routes", "*gin.Engine", "*httpserver.Server",
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, node := range shown {
		fmt.Fprintf(&b, "    n%d[%q]\n", i, strings.TrimPrefix(node, "*"))
	}
	for from, first := range shown {
		for to, then := range shown {
			if slices.Contains(edges, edge{from: then, to: first}) {
				fmt.Fprintf(&b, "    n%d --> n%d\n", from, to)
			}
		}
	}
	return b.String(), nil
}

type edge struct{ from, to string }

var (
	clusterForm     = regexp.MustCompile(`^\s*constructor_(\d+) \[`)
	providedForm    = regexp.MustCompile(`^\s*"([^"]+)" \[label=`)
	constructorForm = regexp.MustCompile(`^\s*constructor_(\d+) -> "([^"]+)"`)
	memberForm      = regexp.MustCompile(`^(.*)\[group=([a-z]+)\]\d+$`)
	groupForm       = regexp.MustCompile(`^\[type=.* group=([a-z]+)\]$`)
)

// edgesOf reads the container's own drawing, which names constructors, and
// keeps what each type is built from.
func edgesOf(set []services.Name) ([]edge, error) {
	var dot fx.DotGraph
	process := fx.New(graph(config.Of(nil), set...), fx.NopLogger, fx.Populate(&dot))
	if err := process.Err(); err != nil {
		return nil, Explain(err)
	}
	provided, current := map[string][]string{}, ""
	needs := map[edge]bool{}
	lines := strings.Split(string(dot), "\n")
	for _, line := range lines {
		if m := clusterForm.FindStringSubmatch(line); m != nil {
			current = m[1]
		} else if m := providedForm.FindStringSubmatch(line); m != nil && current != "" {
			provided[current] = append(provided[current], plain(m[1]))
		}
	}
	for _, line := range lines {
		if m := constructorForm.FindStringSubmatch(line); m != nil {
			for _, from := range provided[m[1]] {
				needs[edge{from, plain(m[2])}] = true
			}
		}
	}
	edges := make([]edge, 0, len(needs))
	for e := range needs {
		edges = append(edges, e)
	}
	sort.Slice(edges, func(i, j int) bool {
		return edges[i].from < edges[j].from || (edges[i].from == edges[j].from && edges[i].to < edges[j].to)
	})
	return edges, nil
}

// plain gives a node's name; members of a group go by the group's.
func plain(node string) string {
	if m := groupForm.FindStringSubmatch(node); m != nil {
		return "group " + m[1]
	}
	if m := memberForm.FindStringSubmatch(node); m != nil {
		return "group " + m[2]
	}
	return node
}
