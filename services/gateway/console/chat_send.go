package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"uaol/providers/api"
	"uaol/services"
)

// settings are what a message may use, beside its words. They stay from one message to
// the next, in the page's address.
type settings struct {
	Tools    string   // "" for none, all, or some: those that are named
	Named    []string // slugs
	Provider string
	Model    string
	Budget   string // credits
	Files    []string
}

func settingsOf(query url.Values) settings {
	set := settings{
		Tools: query.Get("tools"), Named: all(query, "tool"), Provider: query.Get("provider"), Model: strings.TrimSpace(query.Get("model")),
		Budget: strings.TrimSpace(query.Get("budget")), Files: all(query, "file"),
	}
	slices.Sort(set.Files)
	set.Files = slices.Compact(set.Files)
	return set
}

func (s settings) query() url.Values {
	query := some("tools", s.Tools, "provider", s.Provider, "model", s.Model, "budget", s.Budget)
	for _, slug := range s.Named {
		query.Add("tool", slug)
	}
	for _, file := range s.Files {
		query.Add("file", file)
	}
	return query
}

// Uses reports whether a tool is among those that are named.
func (s settings) Uses(slug string) bool { return slices.Contains(s.Named, slug) }

// Chosen says which tools may be called.
func (s settings) Chosen() string {
	switch {
	case s.Tools == "all":
		return "any tool"
	case s.Tools == "some" && len(s.Named) > 0:
		return plural(len(s.Named), "tool")
	}
	return "no tools"
}

// saying is what the API takes.
type saying struct {
	Message      string     `json:"message,omitempty"`
	Conversation string     `json:"conversationId,omitempty"`
	Files        []string   `json:"fileIds,omitempty"`
	Provider     string     `json:"provider,omitempty"`
	Model        string     `json:"model,omitempty"`
	Tools        any        `json:"tools,omitempty"`
	Budget       *int64     `json:"budget,omitempty"`
	Confirm      []decision `json:"confirm,omitempty"`
}

// sayingOf reads a form: a message, or somebody's word on calls that wait for it. Such a
// word is about exactly the calls that the form has shown.
func sayingOf(form url.Values) (saying, error) {
	set := settingsOf(form)
	in := saying{
		Message: strings.ReplaceAll(form.Get("message"), "\r\n", "\n"), Conversation: form.Get("conversation"),
		Files: set.Files, Provider: set.Provider, Model: set.Model,
	}
	switch {
	case set.Tools == "all":
		in.Tools = true
	case set.Tools == "some" && len(set.Named) > 0: // an empty list would mean all of them
		in.Tools = set.Named
	}
	if set.Budget != "" {
		budget, err := strconv.ParseInt(strings.ReplaceAll(set.Budget, ",", ""), 10, 64)
		if err != nil {
			return in, services.Faults(services.Fault{Path: "body.budget", Message: "must be a whole number of credits"})
		}
		in.Budget = &budget
	}
	for _, id := range all(form, "call") {
		said := form.Get("decision-" + id)
		if one := form.Get("decision"); one != "" { // a button for the only one
			said = one
		}
		if said != "allow" && said != "refuse" {
			return in, services.Faults(services.Fault{Path: "body.confirm", Message: "Allow or refuse each of the calls"})
		}
		in.Confirm = append(in.Confirm, decision{ID: id, Approve: said == "allow"})
	}
	if len(in.Confirm) > 0 {
		in.Files = nil // nothing is asked of them
	}
	return in, nil
}

// say sends a message and waits for its answer: for who has no scripts. It goes on when
// the browser leaves, as it does when a button is pressed twice.
func say(v *visit) error {
	in, err := sayingOf(v.r.PostForm)
	data := chatData{conversation: conversation{ID: in.Conversation, Title: newChat}, Set: settingsOf(v.r.PostForm), Draft: in.Message}
	if err != nil {
		return v.sayAgain(err, data)
	}
	said, err := v.ask(api.Within(context.WithoutCancel(v.r.Context())), http.MethodPost, "/chat", in)
	var answer chatReply
	if err == nil {
		err = decode(said.Data, &answer)
	}
	if err == nil && answer.Conversation == "" {
		err = errNoModel
	}
	if err != nil {
		return v.sayAgain(err, data)
	}
	return v.to(chatPath(answer.Conversation, data.Set.query())+"#end", "")
}

// errNoModel is where the API answers that nobody has a key.
var errNoModel = services.Errorf(services.Invalid, "There is no model to ask yet: neither you nor this platform has stored a provider's key").WithCode("PROVIDER_KEY_MISSING")

// sayAgain shows the conversation, what went wrong and what was typed.
func (v *visit) sayAgain(err error, data chatData) error {
	if api.StatusOf(err) == http.StatusUnauthorized {
		return err
	}
	said := problemOf(err)
	data.Problem = &said
	shown, viewErr := v.chatView(data)
	if viewErr != nil {
		return err
	}
	return v.render(shown)
}

// streamed begins a message whose answer comes as events.
func (v *visit) streamed(in saying) (*http.Response, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	if once := v.form("once"); once != "" {
		header.Set(api.KeyHeader, once)
	}
	answer, err := v.request(v.ctx, http.MethodPost, "/chat/stream", bytes.NewReader(text), header)
	if err != nil {
		return nil, unavailable(err)
	}
	if answer.StatusCode != http.StatusOK {
		_, err := read(answer)
		return nil, err
	}
	return answer, nil
}
