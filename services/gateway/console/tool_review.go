package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"uaol/services"
	"uaol/services/gateway/console/lines"
)

// waitingTool is a place in the admins' queue.
type waitingTool struct {
	Tool    tool      `json:"tool"`
	Version int64     `json:"version"`
	Reason  string    `json:"reason"` // new, change or quarantine
	Since   time.Time `json:"since"`
}

// Why says in words what is waited for.
func (w waitingTool) Why() string {
	switch w.Reason {
	case "new":
		return "is new"
	case "change":
		return "its owner wants to change it"
	}
	return "its server has changed methods by itself"
}

type queueData struct {
	Queue []waitingTool
	More  string
}

func reviewQueue(v *visit) (view, error) {
	var data queueData
	next, err := v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "tools", "review"), &data.Queue)
	if next != "" {
		data.More = Prefix + path(some("cursor", next), "tools", "review")
	}
	return view{Template: "tool-queue", Title: "Tools to review", Section: "tools", Data: data}, err
}

// toolDiff is what is to be decided about.
type toolDiff struct {
	Version    int64  `json:"version"`
	Pending    *int64 `json:"pending_version"`
	Definition []struct {
		Name string          `json:"member"`
		Old  json.RawMessage `json:"old"`
		New  json.RawMessage `json:"new"`
	} `json:"definition"`
	Methods []struct {
		Name string      `json:"name"`
		Kind string      `json:"kind"`
		Old  *toolMethod `json:"old"`
		New  *toolMethod `json:"new"`
	} `json:"methods"`
}

// changedPart is a text that changed, line by line.
type changedPart struct {
	Name  string
	Lines []lines.Line
}

// changedMethod is a method that a server lists differently from what was approved.
type changedMethod struct {
	Name  string
	Kind  string // changed, added or removed
	Parts []changedPart
	Flags []methodFlag
}

type reviewData struct {
	Tool       tool
	Insider    bool
	Diff       toolDiff
	Definition []changedPart
	Methods    []changedMethod
	Same       []toolMethod // that are as they were approved
	New        bool         // none of it has been approved before
	Seen       *inspection
	Unread     *problem // why its server could not be looked at
	Problem    *problem
	Decide     bool // there is something to decide
}

func reviewPage(v *visit) (view, error) { return v.reviewView(nil) }

// reviewView looks at the tool's server, and shows what is different there and in the
// version that waits. Looking decides nothing.
func (v *visit) reviewView(wrong error) (view, error) {
	var data reviewData
	id := v.r.PathValue("tool")
	var seen inspection
	if err := v.send(http.MethodPost, path(nil, "tools", id, "inspect"), nil, &seen); err == nil {
		data.Seen = &seen
	} else if isKind(err, services.NotFound, services.Forbidden, services.Unauthenticated) {
		return view{}, err
	} else {
		p := problemOf(err)
		p.Next = advice{"What it wants first, and whether it answers, stands on the tool's page.", tool{ID: id}.At(), "Open it"}
		data.Unread = &p
	}
	err := together(
		func() error { return v.get(path(nil, "tools", id), &data.Tool) },
		func() error { return v.get(path(nil, "tools", id, "diff"), &data.Diff) },
	)
	if err != nil {
		return view{}, err
	}
	for _, m := range data.Diff.Definition {
		data.Definition = append(data.Definition, changedPart{memberTitle(m.Name), lines.Diff(documentText(m.Old), documentText(m.New))})
	}
	data.New = data.Tool.Status != "Approved"
	data.compare()
	data.Decide = data.Tool.Pending != nil || len(data.Methods) > 0 || data.Tool.Status == "Disabled"
	status := 0
	if wrong != nil {
		p := problemOf(wrong)
		data.Problem, status = &p, http.StatusUnprocessableEntity
	}
	return view{Template: "tool-review", Title: "Review " + data.Tool.Name, Section: "tools", Data: data, Status: status}, nil
}

// compare finds which methods differ from those that were approved: by what the server
// lists now or, where it could not be asked, by what was noticed before.
func (d *reviewData) compare() {
	if d.Seen == nil {
		for _, m := range d.Diff.Methods {
			d.Methods = append(d.Methods, differenceOf(m.Name, m.Old, m.New))
		}
		return
	}
	pinned := map[string]*toolMethod{}
	for i, m := range d.Tool.Methods {
		pinned[m.Name] = &d.Tool.Methods[i]
	}
	for i, m := range d.Seen.Methods {
		old := pinned[m.Name]
		delete(pinned, m.Name)
		if old != nil && old.Digest == m.Digest {
			d.Same = append(d.Same, m)
			continue
		}
		d.Methods = append(d.Methods, differenceOf(m.Name, old, &d.Seen.Methods[i]))
	}
	for _, name := range sorted(pinned) {
		d.Methods = append(d.Methods, differenceOf(name, pinned[name], nil))
	}
}

func differenceOf(name string, old, now *toolMethod) changedMethod {
	c := changedMethod{Name: name, Kind: "changed"}
	switch {
	case old == nil:
		c.Kind, old = "added", &toolMethod{}
	case now == nil:
		c.Kind, now = "removed", &toolMethod{}
	}
	c.Flags = now.Flags
	for _, part := range []struct{ name, old, now string }{
		{"Title", old.Title, now.Title}, {"Description", old.Description, now.Description},
		{"Parameters", documentText(old.Input), documentText(now.Input)}, {"Result", documentText(old.Output), documentText(now.Output)},
		{"Annotations", annotationText(old.Annotations), annotationText(now.Annotations)},
	} {
		if changed := lines.Diff(part.old, part.now); len(changed) > 0 {
			c.Parts = append(c.Parts, changedPart{part.name, changed})
		}
	}
	return c
}

// documentText writes JSON with its members in one order, which does not count; a text
// stands for itself.
func documentText(document json.RawMessage) string {
	if !says(document) {
		return ""
	}
	var value any
	if numbered(document, &value) != nil {
		return string(document)
	}
	if text, is := value.(string); is {
		return text
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(value) != nil {
		return string(document)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func annotationText(a *annotations) string {
	if a == nil {
		return ""
	}
	return indented(a)
}

// memberTitles are words for the parts of a definition.
var memberTitles = map[string]string{
	"gateway_url": "Address", "protocol": "Protocol", "credit_cost_per_call": "Credits a call costs", "method_costs": "Credits of single methods",
	"visibility": "Who may call it", "command": "Command", "egress": "Private addresses that it may be at", "inject": "Where secrets go", "oauth": "How tokens are got",
	"operations": "Operations", "limits": "Limits",
}

func memberTitle(name string) string {
	if title := memberTitles[name]; title != "" {
		return title
	}
	return name
}

// decision is what was looked at, and what is said about it.
func (v *visit) decision() (map[string]any, error) {
	body := map[string]any{"reason": strings.TrimSpace(v.form("reason"))}
	if v.form("version") != "" {
		version, err := v.number("version")
		if err != nil {
			return nil, err
		}
		body["version"] = version
	}
	return body, nil
}

func approveTool(v *visit) error {
	id := v.r.PathValue("tool")
	body, err := v.decision()
	if err != nil {
		return err
	}
	if digest := v.form("digest"); digest != "" { // of the methods that were shown
		body["digest"] = digest
	}
	if v.form("unpinned") != "" {
		body["unpinned"] = true
	}
	if err := v.send(http.MethodPost, path(nil, "tools", id, "approve"), body, nil); err != nil {
		return v.reviewAgain(err)
	}
	return v.to(Prefix+path(nil, "tools", id), "Approved: this version counts from now on, with the methods that its server lists.")
}

func rejectTool(v *visit) error {
	id := v.r.PathValue("tool")
	body, err := v.decision()
	if err != nil {
		return err
	}
	if err := v.send(http.MethodPost, path(nil, "tools", id, "reject"), body, nil); err != nil {
		return v.reviewAgain(err)
	}
	return v.to(Prefix+"/tools/review", "Rejected. Its owner reads why.")
}

// reviewAgain shows the review as it is now, with why nothing was decided.
func (v *visit) reviewAgain(err error) error {
	if !isKind(err, services.Conflict, services.Invalid, services.Upstream, services.Unavailable, services.Timeout) {
		return err
	}
	shown, viewErr := v.reviewView(err)
	if viewErr != nil {
		return viewErr
	}
	return v.render(shown)
}

// Changes counts the methods of a kind.
func (d reviewData) Changes(kind string) int {
	n := 0
	for _, m := range d.Methods {
		if m.Kind == kind {
			n++
		}
	}
	return n
}

// Kinds are those that there are methods of.
func (d reviewData) Kinds() (kinds []string) {
	for _, kind := range []string{"added", "changed", "removed"} {
		if slices.ContainsFunc(d.Methods, func(m changedMethod) bool { return m.Kind == kind }) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
