package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func chatRoutes() []route {
	return []route{
		see("/chat", chatPage).forGuests(),
		do("/chat", say).forGuests(),
		do("/chat/stream", sayStreamed).forGuests(),
		see("/chat/files", chatFiles).forGuests(),
		do("/chat/files", attachToChat).forGuests(),
		see("/chat/{conversation}", chatPage).forGuests(),
		see("/chat/{conversation}/export", exportChat).forGuests(),
		do("/chat/{conversation}/rename", renameChat).forGuests(),
		do("/chat/{conversation}/delete", deleteChat).forGuests(),
		do("/chat/{conversation}/start", startProposal).forGuests(),
	}
}

// conversation is one as lists show it.
type conversation struct {
	ID       string    `json:"conversationId"`
	Title    string    `json:"title"`
	Messages int       `json:"messages"`
	Created  time.Time `json:"createdAt"`
	Updated  time.Time `json:"updatedAt"`
}

type chatData struct {
	conversation
	Turns         []turn
	Earlier       bool // there are more turns before these
	Conversations []conversation
	More          string // address of further ones
	Options       chatOptions
	Tools         []chatTool
	MoreTools     bool
	Stored        []attachment // files that are there already
	Attached      []attachment // files that the message is about
	Set           settings
	Draft         string
	Problem       *problem
	Command       string // that says something from a terminal
}

// chatOptions are what a message may ask for.
type chatOptions struct {
	Models []chatModel `json:"models"`
	Budget int64       `json:"budget"`
}

type chatModel struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Default  bool   `json:"isDefault"`
	Platform bool   `json:"platform"`
	Input    int64  `json:"inputCredits"`
	Output   int64  `json:"outputCredits"`
}

// Says names a model, and what it costs.
func (m chatModel) Says() string {
	if !m.Platform {
		return providerName(m.Provider) + ", " + m.Model + ": your own key, no credits"
	}
	return providerName(m.Provider) + ", " + m.Model + ": " + thousands(m.Input) + " credits for 1,000 tokens in, " + thousands(m.Output) + " out"
}

// providerName is what people call who makes a model.
func providerName(provider string) string {
	switch provider {
	case "openai":
		return "OpenAI"
	case "gemini":
		return "Gemini"
	case "claude":
		return "Claude"
	}
	return provider
}

// chatTool is one that a model may call.
type chatTool struct {
	Slug   string           `json:"slug"`
	Name   string           `json:"name"`
	Price  int64            `json:"credit_cost_per_call"`
	Prices map[string]int64 `json:"method_costs"`
}

// Costs is what a call costs, over all methods.
func (t chatTool) Costs() string {
	least, most := t.Price, t.Price
	for _, price := range t.Prices {
		least, most = min(least, price), max(most, price)
	}
	if least == most {
		return creditsText(least) + " a call"
	}
	return thousands(least) + " to " + creditsText(most) + " a call"
}

const (
	newChat = "New conversation"
	// chatEvery is how often a page looks for an answer that another request waits for.
	chatEvery = time.Second
)

func chatPage(v *visit) (view, error) {
	query := v.r.URL.Query()
	return v.chatView(chatData{conversation: conversation{ID: v.r.PathValue("conversation"), Title: newChat}, Set: settingsOf(query)})
}

// chatView gathers a page's parts, of which the script asks for what was said alone.
func (v *visit) chatView(data chatData) (view, error) {
	var things []func() error
	if data.ID != "" {
		things = append(things, func() error { return v.readChat(&data) })
	}
	id := data.ID
	whole := !strings.HasPrefix(v.r.Header.Get("Accept"), "text/event-stream") && v.r.Header.Get("HX-Target") != "said"
	if whole {
		things = append(things,
			func() (err error) { data.Conversations, data.More, err = v.conversations(id); return err },
			func() error { return v.get("/chat/options", &data.Options) },
			func() (err error) { data.Attached, err = v.attachments(data.Set.Files); return err })
	}
	if whole && !v.who.Guest {
		things = append(things, func() error {
			next, err := v.list("/tools?limit=200", &data.Tools)
			data.MoreTools = next != ""
			return err
		}, func() error { return v.get("/storage/files?limit=20", &data.Stored) })
	}
	if err := together(things...); err != nil {
		return view{}, err
	}
	data.Command = v.chatCommand(data)
	shown := view{Template: "chat", Title: data.Title, Section: "chat", Data: data, Every: chatEvery, Over: !data.Pending()}
	if data.Problem != nil {
		shown.Status = http.StatusUnprocessableEntity
	}
	return shown, nil
}

// Pending reports whether an answer is still to come.
func (d chatData) Pending() bool { return len(d.Turns) > 0 && d.Turns[len(d.Turns)-1].Pending }

// Asks reports whether there is a model to ask.
func (d chatData) Asks() bool { return len(d.Options.Models) > 0 }

// Unattached are stored files that the message is not about yet.
func (d chatData) Unattached() (files []attachment) {
	taken := map[string]bool{}
	for _, a := range d.Attached {
		taken[a.ID] = true
	}
	for _, f := range d.Stored {
		if !taken[f.ID] {
			files = append(files, f)
		}
	}
	return files
}

// conversations lists them, and says where the page of this one lists further ones.
func (v *visit) conversations(of string) (found []conversation, more string, err error) {
	next, err := v.list(path(some("limit", "30", "cursor", v.asked("cursor")), "chat", "conversations"), &found)
	if next != "" {
		more = chatPath(of, some("cursor", next))
	}
	return found, more, err
}

// chatPath is the page of a conversation, or of a new one.
func chatPath(conversation string, query url.Values) string {
	if conversation == "" {
		return path(query, "console", "chat")
	}
	return path(query, "console", "chat", conversation)
}

func (v *visit) chatCommand(data chatData) string {
	body := `{"message":"Hello"}`
	if data.ID != "" {
		body = `{"message":"Hello","conversationId":` + strconv.Quote(data.ID) + `}`
	}
	return "curl -sN " + v.console.base(v.r) + `/chat/stream -H "X-API-Key: $KEY" -H 'Content-Type: application/json' -d '` + body + `'`
}
