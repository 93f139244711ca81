package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// conversationOf is the conversation whose page is open.
func conversationOf(tab *browser.Tab) string {
	tab.T.Helper()
	tab.Until(`/^[/]console[/]chat[/][0-9a-f-]{36}$/.test(location.pathname)`)
	return browser.Run[string](tab, `location.pathname.split('/')[3]`)
}

// ended waits until nothing is under way on a page of a conversation.
func ended(tab *browser.Tab) {
	tab.T.Helper()
	tab.Until(`document.querySelector('[data-stop]').hidden && !document.querySelector('[aria-busy=true]')`)
}

// messages is how many a conversation has.
func (p person) messages(t *testing.T, conversation string) string {
	t.Helper()
	return fmt.Sprint(p.Do(t, http.MethodGet, "/chat/conversations/"+conversation, nil).At("data.messages"))
}

// TestFirstConversation: somebody without a key is told how to store one; with one, the
// answer to the first message is seen piece by piece, and is kept.
func TestFirstConversation(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/chat")
	tab.Sees("main", "There is no model to ask yet", "Store a provider's key")
	require.Equal(t, "/console/keys", browser.Run[string](tab, `document.querySelector('#start a').getAttribute('href')`))
	require.Zero(t, tab.Count("#composer"))
	tab.Pictures("chat-no-model")

	ada.keyed(t)
	goOn := make(chan struct{})
	b.model.says(func(asked) []piece {
		return []piece{{text: "The **first"}, {pause: goOn}, {text: "** part"}, {pause: goOn}, {text: ", and\n\n```go\nfmt.Println(\"the second\")\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"}}
	})
	tab.Go("/console/chat")
	tab.Sees("main", "Ask a model")
	tab.Pictures("chat-new")
	tab.Put("#message", "Say something\nin pieces")
	require.True(t, browser.Run[bool](tab, `document.querySelector('#message').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', shiftKey: true, bubbles: true, cancelable: true }))`), "Shift+Enter is a new line")
	tab.Press("#composer", "Send")
	tab.Sees(".answer .parts", "The **first")
	tab.Sees(".asked", "Say something\nin pieces")
	require.Zero(t, tab.Count(".answer .parts strong"), "it is a text as long as it comes")
	require.Equal(t, "true", browser.Run[string](tab, `document.querySelector('.answer').getAttribute('aria-busy')`))
	tab.Pictures("chat-streaming")
	require.Empty(t, browser.Run[string](tab, `document.querySelector('#message').value`))
	goOn <- struct{}{}
	tab.Sees(".answer .parts", "The **first** part")
	require.NotContains(t, tab.Text(".answer .parts"), "second")
	goOn <- struct{}{}
	ended(tab)
	tab.Sees(".answer .parts strong", "first")
	tab.Sees(".answer .snippet", `fmt.Println("the second")`)
	tab.Sees(".answer .facts", "1,200 tokens in, 340 out", "no credits")
	require.Equal(t, 1, tab.Count(".answer table"))
	id := conversationOf(tab)
	tab.Sees("#chat-head", "Say something in pieces")
	tab.Sees("#conversations [aria-current]", "Say something in pieces")
	require.Equal(t, "2", ada.messages(t, id))

	b.model.says(func(in asked) []piece { return []piece{{text: fmt.Sprintf("You said %d things.", (len(in.Messages)))}} })
	tab.Fill("#message", "And again\n") // Enter sends it
	tab.Sees(".turn:last-child .answer .parts", "You said 4 things.")
	ended(tab)
	tab.Go("/console/chat/" + id)
	require.Equal(t, 2, tab.Count(".turn"))
	tab.Pictures("chat-conversation")

	tab.Press("#chat-head", "Manage")
	tab.Fill("#title", "Pieces")
	tab.Press("#chat-head", "Rename")
	tab.Sees("main", "The conversation has another name.")
	tab.Sees("h1", "Pieces")
	for format, says := range map[string]string{"": "# Pieces", "?format=json": `"title":"Pieces"`} {
		exported := browser.Run[string](tab, `fetch('/console/chat/`+id+`/export`+format+`').then(r => r.text())`)
		require.Contains(t, exported, says)
		require.Contains(t, exported, "the second")
	}
	tab.Press("#chat-head", "Manage")
	tab.Press("#chat-head", "Delete")
	tab.Sees("dialog[open]", "Delete this conversation")
	tab.Press("dialog", "Do it")
	tab.Sees("main", "The conversation is deleted.", "Ask a model")
	require.Equal(t, http.StatusNotFound, ada.Do(t, http.MethodGet, "/chat/conversations/"+id, nil).Status)
}

// TestStop: an answer that is stopped ends at the model too, and what there is of it is
// kept; a message of which nothing was answered is given back.
func TestStop(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	never := make(chan struct{})
	b.model.says(func(asked) []piece {
		return []piece{{text: "It begins well"}, {pause: never}, {text: "nobody sees this"}}
	})
	tab := b.enter(t, ada)
	tab.Go("/console/chat")
	tab.Fill("#message", "Begin")
	tab.Press("#composer", "Send")
	tab.Sees(".answer .parts", "It begins well")
	tab.Press("#composer", "Stop")
	tab.Sees(".answer", "It begins well", "The answer ends here")
	ended(tab)
	require.EqualValues(t, 1, b.model.left.Load(), "the model was told")
	id := conversationOf(tab)
	require.Equal(t, "2", ada.messages(t, id))

	b.model.says(func(asked) []piece { return []piece{{pause: never}} })
	tab.Fill("#message", "Say nothing")
	tab.Press("#composer", "Send")
	tab.Sees(".turn:last-child .asked", "Say nothing")
	world.Until(t, "the model is asked", func() bool { return len(b.model.requests()) == 1 })
	tab.Press("#composer", "Stop")
	tab.Until(`document.querySelector('#message').value == 'Say nothing' && document.querySelectorAll('.turn').length == 1`)
	ended(tab)
	require.Equal(t, "2", ada.messages(t, id), "what came to nothing leaves nothing")

	// What was given back is sent again, and answered.
	b.model.says(func(asked) []piece { return []piece{{text: "Here I am."}} })
	tab.Press("#composer", "Send")
	tab.Sees(".turn:last-child .answer .parts", "Here I am.")
	ended(tab)
	require.Equal(t, "4", ada.messages(t, id))

	// A model that breaks off, and one that is not there.
	b.model.says(func(asked) []piece { return []piece{{text: "Half of"}, {cut: true}} })
	tab.Fill("#message", "Break")
	tab.Press("#composer", "Send")
	tab.Sees("#trouble", "ANSWER_CUT", "What came of the answer is kept")
	tab.Sees(".turn:last-child .answer", "Half of", "The answer ends here")
	ended(tab)
	tab.Pictures("chat-cut")
	tab.Problems()
}

// TestSentOnce: a message that is sent twice is said once, with scripts and without.
func TestSentOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	tab := b.enter(t, ada)
	tab.Go("/console/chat")
	tab.Put("#message", "Twice")
	browser.Run[bool](tab, `(() => { const send = document.querySelector('[data-say]'); send.click(); send.click(); document.querySelector('#composer').requestSubmit(); return true })()`)
	tab.Sees(".answer .parts", "Hello.")
	ended(tab)
	require.Len(t, b.model.requests(), 1)
	require.Equal(t, "2", ada.messages(t, conversationOf(tab)))

	tab.Scripts(false)
	tab.Go("/console/chat")
	tab.Put("#message", "Without scripts")
	body := browser.Run[string](tab, `new URLSearchParams(new FormData(document.querySelector('#composer'))).toString()`)
	tab.Press("#composer", "Send")
	tab.Sees(".answer .parts", "Hello.")
	id := conversationOf(tab)
	require.Len(t, b.model.requests(), 2)
	again := browser.Run[string](tab, `fetch('/console/chat', { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: `+quoted(body)+` }).then(r => r.url)`)
	require.Contains(t, again, "/console/chat/"+id, "the same form leads to the same conversation")
	require.Len(t, b.model.requests(), 2)
	require.Equal(t, "2", ada.messages(t, id))
}

// TestLeavingWithoutScripts: a browser that drops a form's request, as it does when a
// button is pressed twice, does not cut the answer off; the form again has that answer.
func TestLeavingWithoutScripts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	client := b.cookies(t, ada)
	goOn := make(chan struct{})
	b.model.says(func(asked) []piece { return []piece{{pause: goOn}, {text: "Here it is."}} })
	form := url.Values{"message": {"Wait for me"}, "once": {"a key of this form"}, "for": {ada.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")}}
	send := func(ctx context.Context) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.world.Gateway+"/console/chat", strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return client.Do(r)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		if answer, err := send(ctx); err == nil {
			answer.Body.Close()
		}
	}()
	world.Until(t, "the model is asked", func() bool { return len(b.model.requests()) == 1 })
	leave()
	<-left
	close(goOn)
	said := ""
	world.Until(t, "the answer is kept", func() bool {
		said = ada.Do(t, http.MethodGet, "/chat/conversations", nil).Text("data.0.conversationId")
		return said != "" && ada.messages(t, said) == "2"
	})
	require.Zero(t, b.model.left.Load())
	answer, err := send(t.Context())
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, "/console/chat/"+said+"#end", answer.Header.Get("Location"))
	require.Len(t, b.model.requests(), 1)
}

func quoted(text string) string {
	made, _ := json.Marshal(text) // a text
	return string(made)
}

// TestAnswerFromElsewhere: an answer that another tab or program waits for shows up by
// itself; what is said meanwhile, or for another organisation, is refused and kept.
func TestAnswerFromElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	id := ada.Do(t, http.MethodPost, "/chat", object{"message": "Hello?"}).Text("data.conversationId")
	goOn := make(chan struct{})
	b.model.says(func(asked) []piece { return []piece{{pause: goOn}, {text: "At last."}} })
	answered := make(chan error, 1)
	go func() {
		_, err := ada.Try(t, http.MethodPost, "/chat", object{"message": "Are you there?", "conversationId": id})
		answered <- err
	}()
	world.Until(t, "the model is asked", func() bool { return len(b.model.requests()) == 1 })
	tab := b.enter(t, ada)
	tab.Go("/console/chat/" + id)
	tab.Sees(".turn:last-child", "Are you there?", "The answer is still to come.")
	tab.Put("#message", "Me too")
	tab.Press("#composer", "Send")
	tab.Sees("#trouble", "is being answered")
	tab.Until(`document.querySelector('#message').value == 'Me too' && document.querySelectorAll('.turn').length == 2`)
	close(goOn)
	tab.Sees(".turn:last-child .answer", "At last.")
	require.NoError(t, <-answered)
	ended(tab)

	b.model.says(func(asked) []piece { return []piece{{text: "You too."}} })
	browser.Run[bool](tab, `(() => { document.querySelector('#composer').elements.for.value = 'another'; return true })()`)
	tab.Press("#composer", "Send")
	tab.Sees("#trouble", "another organisation", "OTHER_ORGANIZATION")
	ended(tab)
	require.Equal(t, "Me too", browser.Run[string](tab, `document.querySelector('#message').value`))
	tab.Go("/console/chat/" + id)
	tab.Fill("#message", "Me too\n")
	tab.Sees(".turn:last-child .answer", "You too.")
	ended(tab)
	require.Equal(t, "6", ada.messages(t, id))
}

// TestDocuments: a PDF that is attached and a text that is dropped are read and asked
// about, and the answer's reference leads to the page.
func TestDocuments(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	b.model.says(func(in asked) []piece {
		last := in.Messages[len(in.Messages)-1].Content
		n := "1"
		for number := 1; number < 20; number++ { // whose passage it is
			if part := fmt.Sprintf("passage=[%d]", number); strings.Contains(last, part) && strings.Contains(strings.SplitN(last, part, 2)[1], "Les chiffres") {
				n = fmt.Sprint(number)
			}
		}
		return []piece{{text: "The figures are one and two [" + n + "]."}}
	})
	tab := b.enter(t, ada)
	tab.Go("/console/chat")
	pdf, err := filepath.Abs("../../services/storage/documents/testdata/files/show.pdf")
	require.NoError(t, err)
	tab.Attach("#pick", pdf)
	tab.Sees("#attached [data-take-off]", "Take show.pdf")
	file := browser.Run[string](tab, `document.querySelector('#attached input').value`)
	world.Until(t, "the PDF is read", func() bool { return ada.Do(t, http.MethodGet, "/documents/"+file, nil).Text("data.status") == "read" })
	tab.Sees("#attached", "show.pdf", "2 pages")
	browser.Run[bool](tab, `(() => { const moved = new DataTransfer(); moved.items.add(new File(['Roses are red.'], 'roses.txt', { type: 'text/plain' }));
		for (const kind of ['dragover', 'drop']) document.querySelector('[data-talk]').dispatchEvent(new DragEvent(kind, { dataTransfer: moved, bubbles: true, cancelable: true })); return true })()`)
	tab.Until(`document.querySelectorAll('#attached [data-take-off]').length == 2`)
	tab.Sees("#attached", "roses.txt")
	tab.Until(`![...document.querySelectorAll('#attached [data-reading]')].length`)
	tab.Pictures("chat-attached")
	browser.Run[bool](tab, `(() => { [...document.querySelectorAll('#attached li')].find(n => n.innerText.includes('roses')).querySelector('[data-take-off]').click(); return true })()`)
	tab.Fill("#message", "Which figures are in it?")
	tab.Press("#composer", "Send")
	tab.Sees(".answer .parts", "The figures are one and two")
	ended(tab)
	tab.Sees(".asked", "show.pdf")
	require.NotContains(t, tab.Text(".asked"), "roses.txt", "it was taken off")
	link := browser.Run[string](tab, `document.querySelector('.answer .cite a').getAttribute('href')`)
	require.Regexp(t, `^/console/files/[0-9a-f-]{36}\?page=2#page-2$`, link)
	require.Equal(t, "none", browser.Run[string](tab, `getComputedStyle(document.querySelector('.passage')).display`))
	browser.Run[bool](tab, `(() => { document.querySelector('.answer .cite a').focus(); return true })()`)
	tab.Sees(".passage", "show.pdf, page 2", "Les chiffres")
	tab.Pictures("chat-citation")
	browser.Run[bool](tab, `(() => { document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })); return true })()`)
	require.Equal(t, "none", browser.Run[string](tab, `getComputedStyle(document.querySelector('.passage')).display`))
	tab.Press(".answer", "1 source")
	tab.Sees(".sources li", "show.pdf, page 2", "Les chiffres")
	require.Equal(t, 1, tab.Count("#attached li"), "the document stays for the next message")
	tab.Click(".sources li a")
	tab.Until(`location.pathname + location.search + location.hash == '` + link + `'`)
	tab.Sees("#page-2", "Page 2")
	browser.Run[bool](tab, `(() => { history.back(); return true })()`)
	tab.Sees(".answer .parts", "The figures are one and two")

	tab.Attach("#pick", mustFile(t, "x.bin", "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	tab.Sees("#trouble", "File type application/x-elf not allowed")
	tab.Problems()
}

// TestToolsInChat: a tool that only reads is called at once; one that acts waits for
// somebody's word about exactly this call, and is paid when it was made.
func TestToolsInChat(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	orders := startOrders(t)
	b.toolAt(t, ada, orders.url, "Orders", 7)
	b.model.says(func(in asked) []piece {
		switch in.N {
		case 0:
			return []piece{{text: "I look first."}, {calls: []wish{{"orders__look", `{"what":"12"}`}}}}
		case 1:
			return []piece{{calls: []wish{{"orders__cancel", `{"what":"12"}`}}}}
		}
		return []piece{{text: "Order 12 is **cancelled**."}}
	})
	tab := b.enter(t, ada)
	tab.Go("/console/chat")
	tab.Press("#composer", "Options")
	tab.Sees(".choices", "Orders", "7 credits a call")
	tab.Click(`input[name=tool][value=orders]`)
	tab.Fill("#budget", "50")
	tab.Sees("[data-chosen]", "1 tool")
	tab.Pictures("chat-choices")
	tab.Press("#composer", "Options")
	tab.Fill("#message", "Cancel order 12")
	tab.Press("#composer", "Send")
	tab.Sees(".answer", "I look first.", "look of Orders", "This call acts", "cancel of Orders, 7 credits", `"what": "12"`)
	ended(tab)
	tab.Pictures("chat-confirm")
	require.Equal(t, []string{"look 12"}, orders.calls(), "nothing that acts is called unasked")
	tab.Press(".answer .call", "success")
	tab.Sees(".answer .call", "order 12 is open", "Receipt")
	receipt := browser.Run[string](tab, `[...document.querySelectorAll('.call a')].find(a => a.innerText == 'Receipt').getAttribute('href')`)
	require.Equal(t, http.StatusOK, ada.Do(t, http.MethodGet, strings.TrimPrefix(receipt, "/console"), nil).Status, receipt)
	require.Contains(t, browser.Run[string](tab, `fetch('`+receipt+`').then(r => r.text())`), "<title>Receipt")

	tab.Press("form[data-chat=decide]", "Allow")
	tab.Sees(".turn:last-child .answer", "cancel of Orders", "Order 12 is cancelled.")
	ended(tab)
	tab.Sees(".turn:last-child .asked", "Allowed a call")
	require.Zero(t, tab.Count("form[data-chat=decide]"))
	require.Equal(t, []string{"look 12", "cancel 12"}, orders.calls())
	world.Until(t, "both calls are paid", func() bool { return ada.credits(t) == "9986" })
	tab.Pictures("chat-allowed")

	b.model.says(func(in asked) []piece {
		if in.N == 0 {
			return []piece{{calls: []wish{{"orders__cancel", `{"what":"13"}`}, {"orders__cancel", `{"what":"14"}`}, {"orders__cancel", `{"what":"15"}`}}}}
		}
		return []piece{{text: "As you wish."}}
	})
	tab.Fill("#message", "Cancel 13, 14 and 15")
	tab.Press("#composer", "Send")
	tab.Sees("form[data-chat=decide]", "each by itself", `"13"`, `"14"`, `"15"`)
	ended(tab)
	tab.Pictures("chat-confirm-many")
	browser.Run[bool](tab, `(() => { const sets = [...document.querySelectorAll('form[data-chat=decide] fieldset')]; for (const [i, n] of sets.entries()) n.querySelector(i == 1 ? '[value=allow]' : '[value=refuse]').click(); return true })()`)
	tab.Press("form[data-chat=decide]", "Go on")
	tab.Sees(".turn:last-child .answer", "As you wish.")
	ended(tab)
	require.Equal(t, []string{"look 12", "cancel 12", "cancel 14"}, orders.calls())
	require.Equal(t, 2, browser.Run[int](tab, `[...document.querySelectorAll('.turn:last-child .call .badge')].filter(n => n.innerText == 'declined').length`))
	world.Until(t, "what was refused is not paid", func() bool { return ada.credits(t) == "9979" })

	// Who says something else has let the call go; the page says so.
	b.model.says(func(in asked) []piece {
		if in.N == 0 {
			return []piece{{calls: []wish{{"orders__cancel", `{"what":"16"}`}}}}
		}
		return []piece{{text: "Never mind, then."}}
	})
	tab.Fill("#message", "Cancel 16")
	tab.Press("#composer", "Send")
	tab.Sees("form[data-chat=decide]", `"16"`)
	ended(tab)
	tab.Fill("#message", "No, wait")
	tab.Press("#composer", "Send")
	tab.Sees(".turn:last-child .answer", "Never mind, then.")
	ended(tab)
	require.Zero(t, tab.Count("form[data-chat=decide]"))
	require.Contains(t, browser.Run[string](tab, `document.querySelector('.turn:nth-last-child(2) .call').textContent`), "which let the call go")
	require.Len(t, orders.calls(), 3)
}

// TestConfirmWithoutScripts: calls are refused and allowed by plain forms too.
func TestConfirmWithoutScripts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	orders := startOrders(t)
	b.toolAt(t, ada, orders.url, "Orders", 7)
	ask := func(what string) {
		b.model.says(func(in asked) []piece {
			if in.N == 0 {
				return []piece{{calls: []wish{{"orders__cancel", `{"what":"` + what + `"}`}}}}
			}
			return []piece{{text: "So be it: " + what}}
		})
	}
	tab := b.enter(t, ada)
	tab.Scripts(false)
	tab.Go("/console/chat?tools=all&budget=20")
	tab.Attach("#pick", mustFile(t, "note.txt", "The sky is blue."))
	tab.Press("#composer", "Upload")
	tab.Sees("main", "1 file attached.")
	tab.Sees("#attached", "note.txt", "read")
	require.Equal(t, "20", browser.Run[string](tab, `document.querySelector('#budget').value`))
	for _, c := range []struct{ what, press, outcome string }{{"1", "Refuse", "declined"}, {"2", "Allow", "success"}} {
		ask(c.what)
		tab.Put("#message", "Cancel "+c.what)
		tab.Press("#composer", "Send")
		tab.Sees("form[data-chat=decide]", "This call acts")
		tab.Sees(".turn:last-child .asked", "note.txt")
		require.Equal(t, "20", browser.Run[string](tab, `document.querySelector('#budget').value`), "what a message may use stays")
		tab.Press("form[data-chat=decide]", c.press)
		tab.Sees(".turn:last-child .answer", "So be it: "+c.what)
		tab.Sees(".turn:last-child .call", c.outcome)
	}
	require.Equal(t, []string{"cancel 2"}, orders.calls())
	tab.Put("#budget", "a lot")
	tab.Put("#message", "Whatever it costs")
	tab.Press("#composer", "Send")
	tab.Sees("#trouble", "must be a whole number of credits")
	require.Equal(t, "Whatever it costs", browser.Run[string](tab, `document.querySelector('#message').value`), "what was typed is there")
}

// TestGuestsChat: with the platform's key guests chat too, for its price, without tools.
func TestGuestsChat(t *testing.T) {
	t.Parallel()
	b := setup(t, world.Settings{"OPENAI_API_KEY": modelKey, "UAOL_MODEL_PRICES": "*=10/100"})
	tab := b.open(t)
	tab.Go("/console/sign-in")
	tab.Press("main", "Look around as a guest")
	tab.Until(`location.pathname == "/console"`)
	tab.Go("/console/chat")
	tab.Sees("main", "Ask a model", "Sign in")
	require.Zero(t, tab.Count("[name=tools]"))
	tab.Fill("#message", "Who am I?")
	tab.Press("#composer", "Send")
	tab.Sees(".answer", "Hello.", "46 credits")
	ended(tab)
	tab.Attach("#pick", mustFile(t, "note.txt", "A guest's note says that the sky is blue."))
	tab.Sees("#attached", "note.txt", "read")
	b.model.says(func(asked) []piece { return []piece{{text: "Blue [1]."}} })
	tab.Fill("#message", "Which colour?")
	tab.Press("#composer", "Send")
	tab.Sees(".turn:last-child .answer", "Blue")
	ended(tab)
	browser.Run[bool](tab, `(() => { document.querySelector('.cite a').click(); return true })()`)
	tab.Sees(".sources li", "note.txt", "the sky is blue")
	tab.Pictures("chat-guest")
}

// TestProposedWorkflow: what the model proposes runs when somebody wants it, once.
func TestProposedWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	orders := startOrders(t)
	b.toolAt(t, ada, orders.url, "Orders", 1)
	b.model.says(func(in asked) []piece {
		if in.N == 0 {
			return []piece{{calls: []wish{{"propose_workflow", `{"name":"Look twice","steps":[{"id":"a","tool":"orders__look","parameters":{"what":"1"}},{"id":"b","tool":"orders__look","parameters":{"what":"{{a.result.content.0.text}}"}}]}`}}}}
		}
		return []piece{{text: "This looks twice."}}
	})
	tab := b.enter(t, ada)
	tab.Go("/console/chat?tools=all")
	tab.Fill("#message", "Look at order 1 twice")
	tab.Press("#composer", "Send")
	tab.Sees(".answer", "This looks twice.", "Look twice", "Nothing of it has run")
	ended(tab)
	tab.Pictures("chat-workflow")
	id := conversationOf(tab)
	tab.Press(".answer", "Run it")
	job := jobOf(tab)
	ada.until(t, job, "Success")
	tab.Go("/console/chat/" + id)
	tab.Press(".answer", "Run it")
	require.Equal(t, job, jobOf(tab), "the same proposal is one job")
	require.Len(t, orders.calls(), 2)
}

// TestHostileAnswers: whatever a model and a tool write, nothing of it runs, while it
// comes and once it is kept.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t).keyed(t)
	tab := b.enter(t, ada)
	hostile := append([]string{
		"# <img src=x onerror=window.taken=1>\n\n[click](javascript:window.taken=1) ![p](https://evil.example/p.png) <a href=\"javascript:window.taken=1\">x</a>\n\n```\"><script>window.taken=1</script>\n</code></pre><script>window.taken=1</script>\n```\n",
		"<style>*{display:none}</style><form action=https://evil.example><button>Send</button></form><details open ontoggle=window.taken=1>\n\n| <svg onload=window.taken=1> |\n|---|\n| [1](data:text/html,<script>window.taken=1</script>) |\n",
		"[1]: javascript:window.taken=1\n[1] <https://evil.example/\"onmouseover=\"window.taken=1> https://evil.example/<script>\n\n<div id=\"composer\" class=\"note\">not ours</div><input name=for>",
	}, payloads...)
	tab.Go("/console/chat")
	for i, word := range hostile {
		b.model.says(func(asked) []piece {
			return []piece{{text: word[:len(word)/2]}, {text: word[len(word)/2:]}, {text: fmt.Sprintf(" end %d", i)}}
		})
		tab.Put("#message", word)
		tab.Press("#composer", "Send")
		tab.Until(fmt.Sprintf(`document.querySelectorAll('.turn').length == %d`, i+1))
		ended(tab)
		require.Contains(t, browser.Run[string](tab, `document.querySelector('.turn:last-child .answer').textContent`), fmt.Sprintf("end %d", i))
	}
	id := conversationOf(tab)
	for _, path := range []string{"", "/console/chat/" + id, "/console/chat"} {
		if path != "" {
			tab.Go(path)
			tab.Until(`document.documentElement.dataset.scripts == 'on'`)
		}
		require.Nil(t, browser.Run[any](tab, `(() => { for (const n of document.querySelectorAll('details')) n.open = true; return window.taken ?? null })()`), path)
		require.Zero(t, tab.Count(`main script, main iframe, main style, main img, main object, base, [onerror], [onload], [onfocus], [onmouseover], [style*=display], main a[href^="javascript:" i], main a[href^="data:" i], .answer input, .answer form`), path)
		require.Zero(t, tab.Count(`main a[target=_blank]:not([rel~=noopener][rel~=noreferrer])`), path)
		require.LessOrEqual(t, tab.Count(`[id=composer]`), 1, path)
	}
	require.Empty(t, tab.Problems())
	tab.Go("/console/chat/" + id)
	tab.Pictures("chat-hostile")
}

// mustFile is a file of the test's.
func mustFile(t *testing.T, name, content string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(at, []byte(content), 0o600))
	return at
}

// orders is a server of tools of which one only reads.
type orders struct {
	url string

	mu   sync.Mutex
	made []string
}

func (o *orders) calls() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string{}, o.made...)
}

func startOrders(t *testing.T) *orders {
	t.Helper()
	o := &orders{}
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1"}, nil)
	schema := object{"type": "object", "properties": object{"what": object{"type": "string"}}}
	add := func(name, says string, hints *mcp.ToolAnnotations) {
		server.AddTool(&mcp.Tool{Name: name, Description: name + "s an order", InputSchema: schema, Annotations: hints}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var in struct{ What string }
			if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
				return nil, err
			}
			o.mu.Lock()
			o.made = append(o.made, name+" "+in.What)
			o.mu.Unlock()
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(says, in.What)}}}, nil
		})
	}
	add("look", "order %s is open", &mcp.ToolAnnotations{ReadOnlyHint: true})
	add("cancel", "cancelled %s", nil)
	o.url = world.ServeMCP(t, server)
	return o
}

// TestNoBarriersInChat: axe finds nothing where an answer comes, nor where everything is
// open that can be.
func TestNoBarriersInChat(t *testing.T) {
	t.Parallel()
	program := axe(t)
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Post office", 3)
	stored := ada.Do(t, http.MethodPost, "/storage/upload", object{"filename": "note.txt", "contentType": "text/plain", "data": []byte("The sky is blue.")})
	require.Equal(t, http.StatusOK, stored.Status, stored)
	file := stored.Text("data.fileId")
	conversation := b.talk(t, ada, "Which colour?", tool, file)
	tab := b.enter(t, ada)
	look := func(width int, theme string) {
		tab.Looks(width, theme)
		require.Empty(t, barriers(t, tab, program, theme), "%d %s", width, theme)
		require.LessOrEqual(t, browser.Run[int](tab, `document.documentElement.scrollWidth`), width, "it is not wider than the screen")
	}
	tab.Go("/console/chat/" + conversation + "?tools=all&file=" + file)
	tab.Sees("main", "This call acts")
	browser.Run[bool](tab, `(() => { for (const n of document.querySelectorAll('main details')) n.open = true; document.querySelector('.cite a').focus(); return true })()`)
	tab.Sees(".passage", "The sky is blue.")
	for _, width := range []int{1440, 390} {
		look(width, "light")
		look(width, "dark")
	}
	tab.Pictures("chat-all-open")
	goOn := make(chan struct{})
	b.model.says(func(asked) []piece { return []piece{{text: "It comes"}, {pause: goOn}} })
	tab.Put("#message", "Which one?")
	tab.Press("#composer", "Send")
	tab.Sees(".answer .parts", "It comes")
	look(390, "dark")
	look(1440, "light")
	close(goOn)
	ended(tab)
}
