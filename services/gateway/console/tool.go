package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

// toolData is what a tool's page says.
type toolData struct {
	Tool     tool
	Own      bool // it is the organisation's that is looked at
	Insider  bool // its versions may be seen: by its owner and platform admins
	Find     string
	Count    int // methods that were found
	Methods  []toolMethod
	Next     string // where more of them are
	Unread   string // why there are none
	Seen     *inspection
	Secrets  []secretSet
	Consent  *connection
	Calls    []toolCall
	Versions []toolVersion
	History  []toolDecision
	Why      string // it was rejected or disabled
	Snippets []snippet
	Problem  *problem
}

// inspection is what a tool's server lists now.
type inspection struct {
	Version int64        `json:"version"`
	Pinned  bool         `json:"pinned"`
	Digest  string       `json:"digest"`
	Methods []toolMethod `json:"methods"`
}

type toolVersion struct {
	Version int64      `json:"version"`
	Status  string     `json:"status"`
	Pinned  bool       `json:"pinned"`
	Digest  string     `json:"digest"`
	By      string     `json:"created_by"`
	Created time.Time  `json:"created_at"`
	Decided *time.Time `json:"decided_at"`
	Decider *string    `json:"decided_by"`
	Reason  string     `json:"reason"`
	Of      struct {
		Address  string `json:"gateway_url"`
		Protocol string `json:"protocol"`
		Price    int64  `json:"credit_cost_per_call"`
	} `json:"definition"`
}

type toolDecision struct {
	Version int64     `json:"version"`
	Act     string    `json:"act"`
	By      *string   `json:"account_id"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"created_at"`
}

// toolCall is a call as it was recorded.
type toolCall struct {
	ID      string    `json:"callId"`
	Method  string    `json:"method"`
	Outcome string    `json:"outcome"`
	Code    string    `json:"code"`
	Latency float64   `json:"latencyMs"`
	Credits int64     `json:"credits"`
	Job     *string   `json:"jobId"`
	At      time.Time `json:"createdAt"`
}

// Took is how long the call took.
func (c toolCall) Took() string {
	return durationText(time.Duration(c.Latency * float64(time.Millisecond)))
}

// Tone is how the outcome looks.
func (c toolCall) Tone() string {
	switch c.Outcome {
	case "success":
		return "good"
	case "failed", "refused":
		return "bad"
	}
	return "wait"
}

const methodsShown = 50

func toolPage(v *visit) (view, error) { return v.toolView(toolData{}) }

// toolView shows a tool with what else is to be said.
func (v *visit) toolView(data toolData) (view, error) {
	id := v.r.PathValue("tool")
	if err := v.get(path(nil, "tools", id), &data.Tool); err != nil {
		return view{}, err
	}
	if !v.who.Guest {
		if err := v.insight(&data); err != nil {
			return view{}, err
		}
	}
	v.chooseMethods(&data)
	data.Snippets = toolSnippets(v.console.base(v.r), data.Tool, data.Methods)
	status := 0
	if data.Problem != nil {
		status = http.StatusUnprocessableEntity
	}
	return view{Template: "tool", Title: data.Tool.Name, Section: "tools", Data: data, Status: status}, nil
}

// insight asks for what members see of a tool beside what everybody sees.
func (v *visit) insight(data *toolData) error {
	t := data.Tool
	versions := path(some("limit", "5"), "tools", t.ID, "versions")
	asks := []func() error{
		func() error {
			err := v.get(versions, &data.Versions)
			data.Insider = err == nil
			return unless(err, services.NotFound, services.Forbidden)
		},
		func() error {
			err := v.get(path(some("limit", "8"), "tools", t.ID, "history"), &data.History)
			return unless(err, services.NotFound, services.Forbidden)
		},
		func() error {
			return unless(v.get(path(some("tool", t.ID, "limit", "10"), "proxy", "calls"), &data.Calls), services.Forbidden)
		},
		func() error { return v.secrets(data) },
		func() (err error) { data.Own, err = v.owns(t); return err },
	}
	if t.OAuth != nil && t.OAuth.Grant == "authorization_code" {
		asks = append(asks, func() error {
			data.Consent = &connection{}
			return v.get(path(nil, "tools", t.ID, "authorization"), data.Consent)
		})
	}
	if t.Status == "Approved" && len(t.Methods) == 0 { // its methods are not pinned: its server tells
		asks = append(asks, func() error {
			if err := v.get(path(nil, "proxy", t.ID, "tools"), &data.Tool.Methods); err != nil {
				data.Unread = api.MessageOf(err)
			}
			return nil
		})
	}
	if err := together(asks...); err != nil {
		return err
	}
	if len(data.Versions) > 0 && data.Versions[0].Status == "Rejected" {
		data.Why = data.Versions[0].Reason
	}
	if t.Status == "Disabled" && len(data.History) > 0 {
		data.Why = data.History[0].Reason
	}
	return nil
}

// unless is an error that is none of the kinds.
func unless(err error, kinds ...services.Kind) error {
	if isKind(err, kinds...) {
		return nil
	}
	return err
}

// owns reports whether a tool belongs to the organisation that is looked at.
func (v *visit) owns(t tool) (bool, error) {
	var same []tool
	err := v.get(path(some("q", t.Slug, "owner", v.who.Organization.ID, "status", t.Status, "limit", "200"), "tools"), &same)
	for _, one := range same {
		if one.ID == t.ID {
			return true, err
		}
	}
	return false, err
}

// chooseMethods takes those that are looked for, and of them one page.
func (v *visit) chooseMethods(data *toolData) {
	methods := data.Tool.Methods
	if data.Seen != nil {
		methods = data.Seen.Methods
	}
	data.Find = strings.TrimSpace(v.asked("find"))
	methods = methodsAbout(methods, data.Find)
	data.Count = len(methods)
	from, _ := strconv.Atoi(v.asked("from")) // 0 for what is no number
	from = min(max(from, 0), len(methods))
	data.Methods = methods[from:min(from+methodsShown, len(methods))]
	if next := from + methodsShown; next < len(methods) {
		data.Next = Prefix + path(some("find", data.Find, "from", strconv.Itoa(next)), "tools", data.Tool.ID) + "#methods"
	}
}

// inspectTool reads what a tool's server lists now.
func inspectTool(v *visit) error {
	var data toolData
	var seen inspection
	err := v.send(http.MethodPost, path(nil, "tools", v.r.PathValue("tool"), "inspect"), nil, &seen)
	if err == nil {
		data.Seen = &seen
	} else {
		p := problemOf(err)
		data.Problem = &p
	}
	shown, err := v.toolView(data)
	if err != nil {
		return err
	}
	return v.render(shown)
}

func disableTool(v *visit) error {
	id := v.r.PathValue("tool")
	var err error
	if v.form("as") == "admin" {
		err = v.send(http.MethodPost, path(nil, "tools", id, "disable"), map[string]string{"reason": v.form("reason")}, nil)
	} else {
		err = v.send(http.MethodDelete, path(nil, "tools", id), nil, nil)
	}
	if err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "tools", id), "The tool is disabled: nobody can call it any more. Jobs and calls that name it stay readable.")
}

type toolHistoryData struct {
	Tool      tool
	Versions  []toolVersion
	History   []toolDecision
	MoreOfOne string // of the versions
	More      string // of the decisions
}

func toolHistory(v *visit) (view, error) {
	var data toolHistoryData
	var versions, decisions string
	id := v.r.PathValue("tool")
	err := together(
		func() error { return v.get(path(nil, "tools", id), &data.Tool) },
		func() (err error) {
			versions, err = v.list(path(some("cursor", v.asked("versions"), "limit", pageSize), "tools", id, "versions"), &data.Versions)
			return err
		},
		func() (err error) {
			decisions, err = v.list(path(some("cursor", v.asked("decisions"), "limit", pageSize), "tools", id, "history"), &data.History)
			return err
		},
	)
	if versions != "" {
		data.MoreOfOne = Prefix + path(some("versions", versions), "tools", id, "history")
	}
	if decisions != "" {
		data.More = Prefix + path(some("decisions", decisions), "tools", id, "history")
	}
	return view{Template: "tool-history", Title: "History of " + data.Tool.Name, Section: "tools", Data: data}, err
}
