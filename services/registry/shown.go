package registry

import (
	"encoding/json"

	"uaol/providers/upstream"
)

// Shown is a method as people are shown it. All of its texts are the server's:
// whoever passes them to a model passes on what a stranger wrote.
type Shown struct {
	upstream.Method
	Digest     string `json:"digest,omitempty"`
	Difference string `json:"difference,omitempty" enum:"changed,added,removed" doc:"since it was approved; it can't be called"`
	Flags      []Flag `json:"flags" doc:"what in its texts is hidden from readers"`
	Untrusted  bool   `json:"untrusted" doc:"always true: the texts are the tool's own"`
}

func show(m Method, flags []Flag) Shown {
	return Shown{Method: m.Method, Digest: m.Digest, Difference: m.Difference, Flags: flags, Untrusted: true}
}

// shown is an approved tool's methods: the pinned ones, those that differ marked.
// Of those that were added only owner and admins learn, by the diff.
func (row offerRow) shown() ([]Shown, error) {
	l, err := row.live()
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	for _, m := range l.different {
		kinds[m.Name] = m.Difference
	}
	methods := []Shown{}
	for i, m := range l.pinned {
		flags := []Flag{}
		if err := json.Unmarshal(l.flags[i], &flags); err != nil {
			return nil, err
		}
		m.Difference = kinds[m.Name]
		methods = append(methods, show(m, flags))
	}
	return methods, nil
}

// diff is how the live server differs from what is pinned.
func (row offerRow) diff() ([]MethodDiff, error) {
	l, err := row.live()
	if err != nil {
		return nil, err
	}
	pinned := map[string]Method{}
	for _, m := range l.pinned {
		pinned[m.Name] = m
	}
	diffs := []MethodDiff{}
	for _, m := range l.different {
		d := MethodDiff{Name: m.Name, Kind: m.Difference}
		if old, there := pinned[m.Name]; there {
			before := show(old, flagsOf(old.Method))
			d.Old = &before
		}
		if m.Difference != removed {
			after := show(m, flagsOf(m.Method))
			after.Difference = ""
			d.New = &after
		}
		diffs = append(diffs, d)
	}
	return diffs, nil
}
