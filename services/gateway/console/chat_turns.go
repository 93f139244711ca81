package console

import (
	"encoding/json"
	"html/template"
	"strconv"
	"strings"
	"time"

	"uaol/services/gateway/console/markdown"
)

// message is one as the API gives it.
type message struct {
	Turn    string    `json:"turnId"`
	Role    string    `json:"role"`
	Content string    `json:"content"`
	Created time.Time `json:"createdAt"`
	Details struct {
		Reply     *chatReply `json:"reply"`
		ToolCalls []struct {
			ID        string
			Name      string
			Arguments string
		} `json:"toolCalls"`
		Answers string     `json:"answers"`
		Confirm []decision `json:"confirm"`
		Files   []string   `json:"files"`
	} `json:"details"`
}

type decision struct {
	ID      string `json:"id"`
	Approve bool   `json:"approve"`
}

// chatReply is what a turn came to.
type chatReply struct {
	Conversation string `json:"conversationId"`
	Message      string `json:"message"`
	Model        string `json:"model"`
	CutOff       string `json:"cutOff"`
	Credits      int64  `json:"credits"`
	Usage        *struct {
		Input  int `json:"inputTokens"`
		Output int `json:"outputTokens"`
	} `json:"usage"`
	Citations []citation `json:"citations"`
	Files     []struct {
		File     string `json:"fileId"`
		Filename string `json:"filename"`
		Note     string `json:"note"`
	} `json:"files"`
	ToolCalls     []toolUse `json:"toolCalls"`
	Confirmations []toolUse `json:"confirmations"`
	Workflow      *struct {
		Name  string `json:"name"`
		Start struct {
			Key  string          `json:"idempotencyKey"`
			Body json.RawMessage `json:"body"`
		} `json:"start"`
	} `json:"workflow"`
}

// citation is a passage that an answer refers to.
type citation struct {
	N        int      `json:"n"`
	File     string   `json:"fileId"`
	Filename string   `json:"filename"`
	Ordinal  int      `json:"ordinal"`
	Page     int      `json:"page"`
	Sheet    string   `json:"sheet"`
	Heading  []string `json:"heading"`
	Text     string   `json:"text"`
	Href     string   `json:"-"`
}

// Place names the document and where in it the passage stands.
func (c citation) Place() string {
	place := c.Filename
	if c.Page > 0 {
		place += ", page " + strconv.Itoa(c.Page)
	}
	if c.Sheet != "" {
		place += ", sheet " + c.Sheet
	}
	if len(c.Heading) > 0 {
		place += ", " + strings.Join(c.Heading, " › ")
	}
	return place
}

// toolUse is a call that was made, was not, or waits for somebody's word.
type toolUse struct {
	ID      string          `json:"id"`
	Call    string          `json:"callId"`
	Tool    string          `json:"tool"`
	ToolID  string          `json:"toolId"`
	Method  string          `json:"method"`
	Given   json.RawMessage `json:"arguments"`
	Outcome string          `json:"outcome"`
	Error   string          `json:"error"`
	Credits int64           `json:"credits"`
	Result  string          `json:"-"`
}

// turn is what somebody said, and what was said and done in answer.
type turn struct {
	ID       string
	Text     string // "" when only calls were decided about
	Files    []attachment
	Decided  []decision
	At       time.Time
	Parts    []part // of the answer, in their order
	Sources  []citation
	Reply    *chatReply // nil as long as there is no answer
	Answered time.Time
	Waiting  []toolUse // calls that can be decided about now
	Last     bool
	Pending  bool // the answer is still to come
	Lost     bool // no answer will come
	Live     bool // the answer is shown while it comes
}

// part is a text, or a call of a tool.
type part struct {
	Text template.HTML
	Call *toolUse
}

// proposes is the name by which a model proposes a workflow; that is shown by itself.
const proposes = "propose_workflow"

// answerWithin is how long an answer may take; afterwards whoever gave it has died.
const answerWithin = 30 * time.Minute

// turnsOf puts together what belongs together. Guests have no page of a file, so that
// their citations lead to the passages below the answer.
func turnsOf(said []message, guest bool, now time.Time) []turn {
	results, decided := map[string]string{}, map[string]bool{}
	for _, m := range said {
		if m.Role == "tool" {
			results[m.Details.Answers] = m.Content
			decided[m.Details.Answers] = true
		}
	}
	var turns []turn
	for from := 0; from < len(said); {
		to := from + 1
		for to < len(said) && said[to].Turn == said[from].Turn {
			to++
		}
		turns = append(turns, turnOf(said[from:to], results, decided, to == len(said), guest, now))
		from = to
	}
	return turns
}

func turnOf(said []message, results map[string]string, decided map[string]bool, last, guest bool, now time.Time) turn {
	t := turn{ID: said[0].Turn, Last: last, At: said[0].Created}
	for _, m := range said {
		switch m.Role {
		case "user":
			t.Text = m.Content
			t.Decided = append(t.Decided, m.Details.Confirm...)
			for _, id := range m.Details.Files {
				t.Files = append(t.Files, attachment{ID: id})
			}
		case "assistant":
			t.Answered = m.Created
			if m.Details.Reply != nil {
				t.Reply = m.Details.Reply
			}
		}
	}
	if t.Reply == nil {
		t.Pending = last && now.Sub(t.At) < answerWithin
		t.Lost = !t.Pending
		return t
	}
	t.Sources = t.Reply.Citations
	for i, c := range t.Sources {
		t.Sources[i].Href = passage{File: c.File, Ordinal: c.Ordinal, Page: c.Page}.Link()
		if guest {
			t.Sources[i].Href = "#" + t.sourceID(c.N)
		}
	}
	t.answer(said, results, decided)
	return t
}

func (t turn) sourceID(n int) string { return "source-" + t.ID + "-" + strconv.Itoa(n) }

// answer gathers the parts of a turn's answer: calls that were decided about come before
// what the model made of them.
func (t *turn) answer(said []message, results map[string]string, decided map[string]bool) {
	uses, asked := map[string]toolUse{}, map[string]bool{}
	for _, u := range t.Reply.ToolCalls {
		u.Result = results[u.ID]
		uses[u.ID] = u
	}
	for _, m := range said {
		for _, c := range m.Details.ToolCalls {
			asked[c.ID] = true
		}
	}
	for _, u := range t.Reply.ToolCalls {
		if !asked[u.ID] {
			u := uses[u.ID]
			t.Parts = append(t.Parts, part{Call: &u})
		}
	}
	final := ""
	for _, m := range said {
		if m.Role != "assistant" {
			continue
		}
		t.text(m.Content)
		final = m.Content
		for _, c := range m.Details.ToolCalls {
			if use, made := uses[c.ID]; made {
				t.Parts = append(t.Parts, part{Call: &use})
			} else if result, known := results[c.ID]; known && !t.waited(c.ID) && c.Name != proposes {
				t.Parts = append(t.Parts, part{Call: &toolUse{ID: c.ID, Method: c.Name, Given: argumentsOf(c.Arguments), Outcome: "not made", Result: result}})
			}
		}
	}
	if final == "" {
		t.text(t.Reply.Message)
	}
	for _, c := range t.Reply.Confirmations {
		switch {
		case decided[c.ID]: // the next turn shows what came of it
		case t.Last:
			t.Waiting = append(t.Waiting, c)
		default:
			c.Outcome, c.Error, c.Credits = "not made", "Something else was said, which let the call go", 0
			t.Parts = append(t.Parts, part{Call: &c})
		}
	}
}

// waited reports whether a call waited for somebody's word.
func (t *turn) waited(call string) bool {
	for _, c := range t.Reply.Confirmations {
		if c.ID == call {
			return true
		}
	}
	return false
}

// text adds a text that a model wrote.
func (t *turn) text(words string) {
	if strings.TrimSpace(words) == "" {
		return
	}
	cited := make([]markdown.Citation, len(t.Sources))
	for i, c := range t.Sources {
		cited[i] = markdown.Citation{N: c.N, Href: c.Href, Label: c.Place(), Passage: c.Text}
	}
	prefix := "text-" + t.ID + "-" + strconv.Itoa(len(t.Parts))
	t.Parts = append(t.Parts, part{Text: markdown.Render(words, prefix, cited)})
}

// argumentsOf are a model's words for arguments, which may be no JSON.
func argumentsOf(words string) json.RawMessage {
	if json.Valid([]byte(words)) {
		return json.RawMessage(words)
	}
	text, _ := json.Marshal(words) // a text
	return text
}

// mostShown messages of a conversation are shown at once.
const mostShown = 200

// latest are the messages of the last turns, and whether there are others before.
func latest(said []message) ([]message, bool) {
	from := len(said) - mostShown
	if from <= 0 {
		return said, false
	}
	for from > 0 && said[from].Turn == said[from-1].Turn {
		from--
	}
	return said[from:], from > 0
}

// readChat reads a conversation, all of it or its last turns.
func (v *visit) readChat(data *chatData) error {
	var all []message
	earlier, cursor := false, ""
	for {
		var found struct {
			conversation
			Said []message `json:"said"`
			Next string    `json:"nextCursor"`
		}
		if err := v.get(path(some("limit", "200", "cursor", cursor), "chat", "conversations", data.ID), &found); err != nil {
			return err
		}
		data.conversation = found.conversation
		all = append(all, found.Said...)
		if v.asked("all") == "" {
			cut := false
			all, cut = latest(all)
			earlier = earlier || cut
		}
		if cursor = found.Next; cursor == "" {
			break
		}
	}
	data.Turns, data.Earlier = turnsOf(all, v.who.Guest, time.Now()), earlier
	return v.nameFiles(data.Turns)
}
