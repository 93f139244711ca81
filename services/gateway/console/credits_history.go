package console

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// creditEntry is one line of an organisation's history.
type creditEntry struct {
	Operation string          `json:"operationId"`
	Kind      string          `json:"kind"`
	Amount    int64           `json:"amount,string"`
	Change    int64           `json:"change,string"`
	Balance   int64           `json:"balance,string"`
	Tool      string          `json:"toolId"`
	Job       string          `json:"jobId"`
	Account   string          `json:"accountId"`
	Key       string          `json:"keyId"`
	Facts     json.RawMessage `json:"facts"`
	Sealed    bool            `json:"sealed"`
	At        time.Time       `json:"createdAt"`
	ToolName  string          `json:"-"`
	Who       string          `json:"-"`
}

// entryKinds are the kinds of entries in people's words, in the order that they are offered.
var entryKinds = []struct{ Kind, Says string }{
	{"settle", "Charged"}, {"hold", "Set aside"}, {"release", "Set free"}, {"deduct", "Taken"}, {"refund", "Refunded"},
	{"grant", "Given"}, {"purchase", "Bought"}, {"send", "Moved away"}, {"receive", "Received"}, {"expire", "Ended unused"},
	{"return", "Bought, returned"}, {"owe", "Owed"}, {"repay", "Repaid"},
}

// Says is the entry's kind in people's words.
func (e creditEntry) Says() string {
	for _, k := range entryKinds {
		if k.Kind == e.Kind {
			return k.Says
		}
	}
	return e.Kind
}

// Receipt is the id of the receipt that the entry is on: that of its job or of its call; ""
// for what has none.
func (e creditEntry) Receipt() string {
	if e.Job != "" {
		return e.Job
	}
	if e.Kind == "hold" || e.Kind == "settle" || e.Kind == "release" {
		if id, err := uuid.Parse(e.Operation); err == nil {
			return id.String()
		}
	}
	return ""
}

// Why is what the books say of the reason.
func (e creditEntry) Why() string {
	var facts struct {
		Reason string `json:"reason"`
		Method string `json:"method"`
		Model  string `json:"model"`
		Pack   string `json:"pack"`
	}
	if json.Unmarshal(e.Facts, &facts) != nil {
		return ""
	}
	for _, said := range []string{facts.Reason, facts.Method, facts.Model, facts.Pack} {
		if said != "" {
			return said
		}
	}
	return ""
}

// historyFilter is what somebody looks for, as the form has it.
type historyFilter struct {
	Kind, From, To, Tool, Job string
}

// query is the filter in the API's words. Days are UTC's; the last one counts whole.
func (f historyFilter) query() url.Values {
	query := some("kind", f.Kind, "toolId", f.Tool, "jobId", f.Job)
	if from, err := time.Parse(time.DateOnly, f.From); err == nil {
		query.Set("from", from.Format(time.RFC3339))
	}
	if to, err := time.Parse(time.DateOnly, f.To); err == nil {
		query.Set("to", to.AddDate(0, 0, 1).Format(time.RFC3339))
	}
	return query
}

// any reports whether anything is looked for.
func (f historyFilter) Any() bool { return f != historyFilter{} }

type historyData struct {
	Filter  historyFilter
	Kinds   []struct{ Kind, Says string }
	Tools   []capped // that anything was spent on
	Entries []creditEntry
	More    string
}

const historyPath = creditsPath + "/history"

func creditsHistory(v *visit) (view, error) {
	f := historyFilter{v.asked("kind"), v.asked("from"), v.asked("to"), v.asked("tool"), v.asked("job")}
	data := historyData{Filter: f, Kinds: entryKinds}
	query := f.query()
	if cursor := v.asked("cursor"); cursor != "" {
		query.Set("cursor", cursor)
	}
	var (
		next string
		used []usageRow
		who  *people
	)
	err := together(
		func() (err error) { next, err = v.list(path(query, "credits", "history"), &data.Entries); return err },
		func() error { return v.get("/credits/usage?by=tool&limit=50", &used) },
		func() (err error) { who, err = v.whoIsThere(); return err },
	)
	if err != nil {
		return view{}, err
	}
	var ids []string
	for _, row := range used {
		ids = append(ids, row.Key)
	}
	for _, e := range data.Entries {
		ids = append(ids, e.Tool)
	}
	if f.Tool != "" {
		ids = append(ids, f.Tool)
	}
	names := &naming{}
	if err := v.nameTools(names, ids); err != nil {
		return view{}, err
	}
	for i, e := range data.Entries {
		if e.Tool != "" {
			data.Entries[i].ToolName = names.Of(e.Tool)
		}
		if e.Account != "" && !v.who.Organization.Personal {
			data.Entries[i].Who = who.Of(e.Account)
		}
	}
	data.Tools = toolChoices(used, f.Tool, names)
	if next != "" {
		data.More = historyPath + "?" + some("kind", f.Kind, "from", f.From, "to", f.To, "tool", f.Tool, "job", f.Job, "cursor", next).Encode()
	}
	return view{Template: "credits-history", Title: "Credits history", Section: "credits", Data: data}, nil
}

// toolChoices are the tools that were used lately, and the one that is looked for.
func toolChoices(used []usageRow, asked string, names *naming) []capped {
	var choices []capped
	there := asked == ""
	for _, row := range used {
		if row.Key != "" {
			choices = append(choices, capped{row.Key, names.Of(row.Key)})
			there = there || row.Key == asked
		}
	}
	if !there {
		choices = append(choices, capped{asked, names.Of(asked)})
	}
	return choices
}
