package console

import (
	"net/url"
	"strings"
	"time"
)

func toolRoutes() []route {
	return append(forAdmins(see("/tools/review", reviewQueue)),
		see("/tools", toolsPage).forGuests(),
		see("/tools/new", newTool),
		do("/tools/new", registerTool),
		do("/tools/import", importTools),
		see("/tools/consent", consentReturn),
		do("/tools/consent", finishConsent),
		see("/tools/{tool}", toolPage).forGuests(),
		see("/tools/{tool}/call", callPage).forGuests(),
		do("/tools/{tool}/call", callTool),
		do("/tools/{tool}/inspect", inspectTool),
		see("/tools/{tool}/edit", editTool),
		do("/tools/{tool}/edit", changeTool),
		do("/tools/{tool}/disable", disableTool),
		see("/tools/{tool}/history", toolHistory),
		see("/tools/{tool}/review", reviewPage),
		do("/tools/{tool}/approve", approveTool),
		do("/tools/{tool}/reject", rejectTool),
		do("/tools/{tool}/secrets", giveSecret),
		do("/tools/{tool}/secrets/forget", forgetSecret),
		do("/tools/{tool}/authorize", beginConsent),
		do("/tools/{tool}/authorize/forget", forgetConsent),
		see("/receipts/{receipt}", receiptPage),
	)
}

// tool is a registered server; what begins with Methods is of a single one, not in lists.
type tool struct {
	ID          string           `json:"tool_id"`
	Slug        string           `json:"slug"`
	Name        string           `json:"name"`
	Description string           `json:"description"`
	Tags        []string         `json:"tags"`
	Docs        string           `json:"documentation_url"`
	Visibility  string           `json:"visibility"`
	Address     string           `json:"gateway_url"`
	Price       int64            `json:"credit_cost_per_call"`
	Prices      map[string]int64 `json:"method_costs"`
	Developer   string           `json:"developer_id"`
	Protocol    string           `json:"protocol"`
	Status      string           `json:"status"`
	Version     int64            `json:"version"`
	Pending     *int64           `json:"pending_version"`
	Created     time.Time        `json:"created_at"`
	Updated     time.Time        `json:"updated_at"`
	Health      struct {
		Status  string     `json:"status"`
		Latency int64      `json:"latency_ms"`
		Error   string     `json:"last_error"`
		Checked *time.Time `json:"checked_at"`
		Since   *time.Time `json:"since"`
	} `json:"health"`

	Methods  []toolMethod    `json:"methods"`
	Inject   *injection      `json:"inject"`
	OAuth    *oauth          `json:"oauth"`
	Limits   *toolLimits     `json:"limits"`
	Command  *command        `json:"command"`
	Egress   []string        `json:"egress"`
	Proposed *toolDefinition `json:"pending"`
}

// toolDefinition is what a version fixes.
type toolDefinition struct {
	Address    string           `json:"gateway_url"`
	Protocol   string           `json:"protocol"`
	Price      int64            `json:"credit_cost_per_call"`
	Prices     map[string]int64 `json:"method_costs"`
	Visibility string           `json:"visibility"`
	Command    *command         `json:"command"`
	Egress     []string         `json:"egress"`
	Inject     *injection       `json:"inject"`
	OAuth      *oauth           `json:"oauth"`
	Limits     *toolLimits      `json:"limits"`
}

type injection struct {
	Headers   map[string]string `json:"headers,omitempty"`
	Arguments map[string]string `json:"arguments,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
}

type oauth struct {
	Grant        string   `json:"grant"`
	AuthorizeURL string   `json:"authorize_url,omitempty"`
	TokenURL     string   `json:"token_url,omitempty"`
	ClientID     string   `json:"client_id,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	Resource     string   `json:"resource,omitempty"`
}

type toolLimits struct {
	PerMinute   int `json:"per_minute,omitempty"`
	PerUser     int `json:"per_user,omitempty"`
	Concurrency int `json:"concurrency,omitempty"`
	TimeoutMS   int `json:"timeout_ms,omitempty"`
}

type command struct {
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
}

// PriceOf is what a call of a method costs.
func (t tool) PriceOf(method string) int64 {
	if price, own := t.Prices[method]; own {
		return price
	}
	return t.Price
}

// Differs reports whether a version waits beside one that counts.
func (t tool) Differs() bool { return t.Pending != nil && *t.Pending != t.Version }

// Changed counts the methods that its server lists differently from what was approved,
// as far as everybody may know.
func (t tool) Changed() (n int) {
	for _, m := range t.Methods {
		if m.Difference != "" {
			n++
		}
	}
	return n
}

// At is the tool's page, or one below it.
func (t tool) At(below ...string) string {
	return Prefix + path(nil, append([]string{"tools", t.ID}, below...)...)
}

// Injected are the arguments that the tool's own settings give.
func (t tool) Injected() map[string]string {
	if t.Inject == nil {
		return nil
	}
	return t.Inject.Arguments
}

// priceText is a price that may be none.
func priceText(credits int64) string {
	if credits == 0 {
		return "free"
	}
	return creditsText(credits)
}

// callPrice is what a call costs.
func callPrice(credits int64) string {
	if credits == 0 {
		return "free"
	}
	return creditsText(credits) + " a call"
}

type toolsData struct {
	Asks     toolSearch
	Statuses []string
	Tools    []tool
	More     string
	Cut      bool // there are more than are shown, and no way to page
}

// toolSearch is what the list is asked for.
type toolSearch struct {
	Question string
	Tags     string // separated by commas
	Mine     bool
	Status   string // "" for the approved ones or, of one's own, all
}

// Any reports whether it asks for anything in particular.
func (s toolSearch) Any() bool { return s.Question != "" || s.Tags != "" || s.Status != "" || s.Mine }

// query is the API's.
func (s toolSearch) query(organization, status, cursor string) url.Values {
	query := some("q", s.Question, "status", status, "cursor", cursor, "limit", pageSize)
	for tag := range strings.SplitSeq(s.Tags, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			query.Add("tag", tag)
		}
	}
	if s.Mine {
		query.Set("owner", organization)
	}
	return query
}

// page is the list's own address from a place on.
func (s toolSearch) page(cursor string) string {
	of := ""
	if s.Mine {
		of = "mine"
	}
	return Prefix + path(some("q", s.Question, "tag", s.Tags, "of", of, "status", s.Status, "cursor", cursor), "tools")
}

// toolStatuses are those that tools are looked for by.
var toolStatuses = []string{"Approved", "Pending", "Rejected", "Disabled"}

func toolsPage(v *visit) (view, error) {
	asks := toolSearch{
		Question: strings.TrimSpace(v.asked("q")), Tags: strings.TrimSpace(v.asked("tag")),
		Mine: v.asked("of") == "mine" && !v.who.Guest, Status: v.asked("status"),
	}
	data := toolsData{Asks: asks, Statuses: toolStatuses}
	next, err := v.tools(&data)
	if next != "" {
		data.More = asks.page(next)
	}
	return view{Template: "tools", Title: "Tools", Section: "tools", Data: data}, err
}

// tools asks for the list. Of one's own in any status the API knows only all; those that
// are looked for are asked for by each status.
func (v *visit) tools(data *toolsData) (next string, err error) {
	asks, organization := data.Asks, v.who.Organization.ID
	switch {
	case !asks.Mine || asks.Status != "":
		return v.list(path(asks.query(organization, asks.Status, v.asked("cursor")), "tools"), &data.Tools)
	case asks.Question == "" && asks.Tags == "":
		return v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "tools", "my", "tools"), &data.Tools)
	}
	found, asking := make([][]tool, len(toolStatuses)), make([]func() error, len(toolStatuses))
	cut := make([]string, len(toolStatuses))
	for i, status := range toolStatuses {
		asking[i] = func() (err error) {
			cut[i], err = v.list(path(asks.query(organization, status, ""), "tools"), &found[i])
			return err
		}
	}
	err = together(asking...)
	for i := range found {
		data.Tools = append(data.Tools, found[i]...)
		data.Cut = data.Cut || cut[i] != ""
	}
	return "", err
}
