package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/services"
)

func TestSayingOf(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"message=a%0D%0Ab&conversation=c":                                 `{"message":"a\nb","conversationId":"c"}`,
		"message=a&file=2&file=1&file=2&file=":                            `{"message":"a","fileIds":["1","2"]}`,
		"message=a&tools=all&tool=x":                                      `{"message":"a","tools":true}`,
		"message=a&tools=some&tool=x&tool=y":                              `{"message":"a","tools":["x","y"]}`,
		"message=a&tools=some":                                            `{"message":"a"}`,
		"message=a&tool=x":                                                `{"message":"a"}`,
		"message=a&provider=claude&model=+m+&budget=1,000":                `{"message":"a","provider":"claude","model":"m","budget":1000}`,
		"message=a&budget=0":                                              `{"message":"a","budget":0}`,
		"conversation=c&call=1&decision=allow":                            `{"conversationId":"c","confirm":[{"id":"1","approve":true}]}`,
		"conversation=c&call=1&decision=refuse&file=1":                    `{"conversationId":"c","confirm":[{"id":"1","approve":false}]}`,
		"conversation=c&call=1&call=2&decision-1=refuse&decision-2=allow": `{"conversationId":"c","confirm":[{"id":"1","approve":false},{"id":"2","approve":true}]}`,
		"conversation=c&decision=allow&decision-9=allow":                  `{"conversationId":"c"}`,
		"message=a&budget=much":                                           "body.budget",
		"conversation=c&call=1":                                           "body.confirm",
		"conversation=c&call=1&decision=perhaps":                          "body.confirm",
		"conversation=c&call=1&call=2&decision-1=allow":                   "body.confirm",
	} {
		query, err := url.ParseQuery(form)
		require.NoError(t, err)
		in, err := sayingOf(query)
		if strings.HasPrefix(want, "body.") {
			require.Contains(t, faultsOf(err), want, form)
			continue
		}
		require.NoError(t, err, form)
		text, err := json.Marshal(in)
		require.NoError(t, err)
		require.JSONEq(t, want, string(text), form)
	}
}

// FuzzSayingOf: nothing is decided about a call that the form has not shown, and what a
// message may use comes back from its address as it was.
func FuzzSayingOf(f *testing.F) {
	f.Add("message=a&call=1&decision=allow&decision-2=allow&tools=some&tool=x&file=1&budget=-5")
	f.Fuzz(func(t *testing.T, form string) {
		query, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		in, err := sayingOf(query)
		if err == nil {
			require.Len(t, in.Confirm, len(all(query, "call")))
			for _, d := range in.Confirm {
				require.Contains(t, query["call"], d.ID)
			}
		}
		set := settingsOf(query)
		require.Equal(t, set, settingsOf(set.query()))
	})
}

func TestEachEvent(t *testing.T) {
	t.Parallel()
	var heard []string
	take := func(kind string, data []byte) error {
		heard = append(heard, kind+" "+string(data))
		return nil
	}
	stream := ": still here\n\nevent: begun\ndata: {\"a\": 1}\n\nevent: delta\r\ndata: {}\r\n\r\nid: 7\ndata: x\n\nevent: nothing\n\nevent: cut\ndata: y\n"
	require.NoError(t, eachEvent(strings.NewReader(stream), take))
	require.Equal(t, []string{`begun {"a": 1}`, "delta {}", " x"}, heard)
	stop := errors.New("enough")
	require.ErrorIs(t, eachEvent(strings.NewReader(stream), func(string, []byte) error { return stop }), stop)
}

func TestEventError(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		kind services.Kind
		code string
	}{
		`{"success":false,"error":{"code":"INSUFFICIENT_CREDITS","message":"m"}}`: {services.Insufficient, "INSUFFICIENT_CREDITS"},
		`{"success":false,"error":{"code":"RATE_LIMIT_ERROR","message":"m"}}`:     {services.Limited, "RATE_LIMIT_ERROR"},
		`{"success":false,"error":{"code":"ANSWER_CUT","message":"m"}}`:           {services.Invalid, "ANSWER_CUT"},
	} {
		err := eventError([]byte(text))
		require.True(t, isKind(err, want.kind), text)
		require.Equal(t, want.code, api.CodeOf(err))
		require.Equal(t, "m", api.MessageOf(err))
	}
	require.True(t, isKind(eventError([]byte("nonsense")), services.Unavailable))
}

// said reads messages as the API gives them; each is a line: turn, role and details.
func said(t *testing.T, lines ...string) (messages []message) {
	t.Helper()
	for _, line := range lines {
		parts := strings.SplitN(line, "|", 4)
		text := fmt.Sprintf(`{"turnId":%q,"role":%q,"content":%q,"createdAt":"2026-01-01T00:00:00Z","details":%s}`, parts[0], parts[1], parts[2], parts[3])
		var m message
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		messages = append(messages, m)
	}
	return messages
}

// parts are an answer's, in short.
func (t turn) parts() (all []string) {
	for _, p := range t.Parts {
		if p.Call == nil {
			all = append(all, strings.TrimSpace(string(p.Text)))
		} else {
			all = append(all, p.Call.Method+" "+p.Call.Outcome+" "+p.Call.Result)
		}
	}
	return all
}

// TestTurns: calls stand where they were made, those that were decided about in the turn
// that decided, and only the last turn's can be decided about.
func TestTurns(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	messages := said(t,
		`1|user|Do it|{"files":["f"]}`,
		`1|assistant|I look.|{"toolCalls":[{"ID":"c1","Name":"t__look","Arguments":"{}"},{"ID":"c2","Name":"t__gone","Arguments":"not JSON"},{"ID":"c3","Name":"propose_workflow","Arguments":"{}"}]}`,
		`1|tool|found|{"answers":"c1"}`, `1|tool|There is no tool|{"answers":"c2"}`, `1|tool|It is shown|{"answers":"c3"}`,
		`1|assistant||{"toolCalls":[{"ID":"c4","Name":"t__act","Arguments":"{}"},{"ID":"c5","Name":"t__act","Arguments":"{}"}],"reply":{"message":"This needs your confirmation first.","toolCalls":[{"id":"c1","method":"look","outcome":"success"}],"confirmations":[{"id":"c4","method":"act"},{"id":"c5","method":"act"}]}}`,
		`2|user||{"confirm":[{"id":"c4","approve":true},{"id":"c5","approve":false}]}`,
		`2|tool|acted|{"answers":"c4"}`, `2|tool|The user has declined|{"answers":"c5"}`,
		`2|assistant|Done [1].|{"reply":{"message":"Done [1].","citations":[{"n":1,"fileId":"f","filename":"a.pdf","page":3,"text":"words"}],"toolCalls":[{"id":"c4","method":"act","outcome":"success"},{"id":"c5","method":"act","outcome":"declined"}]}}`,
		`3|user|And more|{}`,
		`3|assistant||{"toolCalls":[{"ID":"c6","Name":"t__act","Arguments":"{}"}],"reply":{"message":"m","confirmations":[{"id":"c6","method":"act","credits":5}]}}`,
	)
	turns := turnsOf(messages, false, now)
	require.Len(t, turns, 3)
	require.Equal(t, []string{"<p>I look.</p>", "look success found", "t__gone not made There is no tool", "<p>This needs your confirmation first.</p>"}, turns[0].parts())
	require.Empty(t, turns[0].Waiting)
	require.Equal(t, "f", turns[0].Files[0].ID)
	require.Equal(t, []decision{{"c4", true}, {"c5", false}}, turns[1].Decided)
	require.Equal(t, []string{"act success acted", "act declined The user has declined"}, turns[1].parts()[:2])
	require.Contains(t, turns[1].parts()[2], `href="/console/files/f?page=3#page-3"`)
	require.Equal(t, "c6", turns[2].Waiting[0].ID)
	require.True(t, turns[2].Last)

	// What is said next lets the call go, and waits for its own answer.
	messages = append(messages, said(t, `4|user|No|{}`)...)
	turns = turnsOf(messages, true, now)
	require.Empty(t, turns[2].Waiting)
	require.Equal(t, "act not made ", turns[2].parts()[1])
	require.Zero(t, turns[2].Parts[1].Call.Credits)
	require.True(t, turns[3].Pending)
	require.False(t, turns[3].Lost)
	require.Contains(t, turns[1].parts()[2], `href="#source-2-1"`, "guests have no page of a file")
	turns = turnsOf(messages, false, now.Add(answerWithin))
	require.False(t, turns[3].Pending)
	require.True(t, turns[3].Lost)
}

func TestLatest(t *testing.T) {
	t.Parallel()
	var messages []message
	for i := range mostShown {
		messages = append(messages, message{Turn: fmt.Sprint(i / 3)})
	}
	shown, cut := latest(messages)
	require.Len(t, shown, mostShown)
	require.False(t, cut)
	messages = append(messages, message{Turn: "last"}, message{Turn: "last"})
	shown, cut = latest(messages)
	require.True(t, cut == (len(shown) < len(messages)))
	require.Equal(t, messages[0].Turn, shown[0].Turn, "a turn stays whole")
	messages = append(messages, message{Turn: "last"})
	shown, cut = latest(messages)
	require.True(t, cut)
	require.Equal(t, "1", shown[0].Turn)
}

func TestCosts(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 credit a call", chatTool{Price: 1}.Costs())
	require.Equal(t, "0 to 1,000 credits a call", chatTool{Price: 5, Prices: map[string]int64{"a": 0, "b": 1000}}.Costs())
	require.Equal(t, "Claude, m: your own key, no credits", chatModel{Provider: "claude", Model: "m"}.Says())
	require.Equal(t, "OpenAI, m: 1 credits for 1,000 tokens in, 4 out", chatModel{Provider: "openai", Model: "m", Platform: true, Input: 1, Output: 4}.Says())
}
