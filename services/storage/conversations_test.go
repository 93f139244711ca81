package storage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/storage/conversations"
)

// TestBook runs the interface's contract over both of its bodies.
func TestBook(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		bookContract(t, b, b.talks)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, b.routes()...)}, peerstest.Tokens(t))
		require.NoError(t, err)
		bookContract(t, b, client)
	})
}

func said(texts ...string) (all []conversations.Message) {
	for i, text := range texts {
		role := conversations.User
		if i%2 == 1 {
			role = conversations.Assistant
		}
		all = append(all, conversations.Message{Role: role, Content: text})
	}
	return all
}

func contents(all []conversations.Message) string {
	var texts []string
	for _, m := range all {
		texts = append(texts, m.Content)
	}
	return strings.Join(texts, " | ")
}

// tell has a whole turn said in a conversation.
func tell(t testing.TB, book conversations.Book, caller services.Caller, id uuid.UUID, title string, messages []conversations.Message) {
	t.Helper()
	turn := uuid.New()
	begun, err := book.Begin(t.Context(), conversations.BeginRequest{Caller: caller, Conversation: id, New: true, Title: title, Turn: turn, Messages: messages[:1]})
	require.NoError(t, err)
	require.NoError(t, book.Finish(t.Context(), conversations.FinishRequest{Claim: conversations.Claim{Caller: caller, Conversation: id, Claim: begun.Claim}, Turn: turn, Messages: messages[1:]}))
}

func bookContract(t *testing.T, b *bench, book conversations.Book) {
	ada, bob, id := user(), user(), uuid.New()
	colleague := user()
	colleague.Organization = ada.Organization
	first := conversations.BeginRequest{Caller: ada, Conversation: id, Title: "  What is\n this? ", Turn: uuid.New(), Messages: said("hello"), History: 10}
	_, err := book.Begin(t.Context(), first)
	require.True(t, services.Is(err, services.NotFound), "it is not there: %v", err)
	first.New = true
	begun, err := book.Begin(t.Context(), first)
	require.NoError(t, err)
	require.False(t, begun.Again)
	require.Empty(t, begun.History)
	second := conversations.BeginRequest{Caller: ada, Conversation: id, Turn: uuid.New(), Messages: said("bad\x00 \xff text"), History: 3}
	for _, other := range []conversations.BeginRequest{first, second} {
		_, err = book.Begin(t.Context(), other)
		require.True(t, services.Is(err, services.Conflict), "one turn is answered at a time: %v", err)
	}
	claim := conversations.Claim{Caller: ada, Conversation: id, Claim: begun.Claim}
	require.NoError(t, book.Renew(t.Context(), claim))

	// Whoever answered is thought dead, and is not heard any more when another goes on.
	b.exec(t, `UPDATE uaol_storage.conversations SET lease_until = now() - interval '1 second' WHERE conversation_id = $1`, id)
	again, err := book.Begin(t.Context(), first)
	require.NoError(t, err)
	require.True(t, again.Again)
	answer := said("", "good day")[1:]
	answer[0].Details = json.RawMessage(`{"model":"m"}`)
	require.True(t, services.Is(book.Renew(t.Context(), claim), services.Conflict))
	err = book.Finish(t.Context(), conversations.FinishRequest{Claim: claim, Turn: first.Turn, Messages: said("", "too late")[1:]})
	require.True(t, services.Is(err, services.Conflict), err)
	claim.Claim = again.Claim
	require.NoError(t, book.Finish(t.Context(), conversations.FinishRequest{Claim: claim, Turn: first.Turn, Messages: answer}))
	for range 2 {
		begun, err = book.Begin(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, uuid.Nil, begun.Claim)
		require.Equal(t, "good day", contents(begun.Answer), "the same turn again has the same answer")
		require.JSONEq(t, `{"model":"m"}`, string(begun.Answer[0].Details))
	}

	// One that came to nothing never was.
	begun, err = book.Begin(t.Context(), second)
	require.NoError(t, err)
	claim.Claim = begun.Claim
	require.NoError(t, book.Finish(t.Context(), conversations.FinishRequest{Claim: claim, Turn: second.Turn}))
	require.EqualValues(t, 2, b.number(t, `SELECT last_seq FROM uaol_storage.conversations WHERE conversation_id = $1`, id))
	begun, err = book.Begin(t.Context(), second)
	require.NoError(t, err)
	require.False(t, begun.Again)
	require.Equal(t, "hello | good day", contents(begun.History))
	claim.Claim = begun.Claim
	require.NoError(t, book.Finish(t.Context(), conversations.FinishRequest{Claim: claim, Turn: second.Turn, Messages: said("", "fine")[1:]}))
	third := conversations.BeginRequest{Caller: ada, Conversation: id, Turn: uuid.New(), Messages: said("and?"), History: 3}
	for _, other := range []services.Caller{bob, colleague} {
		theirs := third
		theirs.Caller, theirs.New = other, true
		_, err = book.Begin(t.Context(), theirs)
		require.True(t, services.Is(err, services.NotFound), err)
		err = book.Finish(t.Context(), conversations.FinishRequest{Claim: conversations.Claim{Caller: other, Conversation: id, Claim: begun.Claim}, Turn: second.Turn, Messages: said("mine now")})
		require.True(t, services.Is(err, services.NotFound), err)
	}
	begun, err = book.Begin(t.Context(), third)
	require.NoError(t, err)
	require.Equal(t, "good day | bad \uFFFD text | fine", contents(begun.History))
	_, err = book.Begin(t.Context(), conversations.BeginRequest{Caller: ada, Conversation: id})
	require.True(t, services.Is(err, services.Invalid), err)

	nothing := conversations.BeginRequest{Caller: ada, Conversation: uuid.New(), New: true, Turn: uuid.New(), Messages: said("x")}
	begun, err = book.Begin(t.Context(), nothing)
	require.NoError(t, err)
	require.NoError(t, book.Finish(t.Context(), conversations.FinishRequest{Claim: conversations.Claim{Caller: ada, Conversation: nothing.Conversation, Claim: begun.Claim}, Turn: nothing.Turn}))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.conversations WHERE conversation_id = $1`, nothing.Conversation), "a conversation of nothing is none")

	// Of many who say the same at once, one answers.
	same := conversations.BeginRequest{Caller: ada, Conversation: uuid.New(), New: true, Turn: uuid.New(), Messages: said("all")}
	var group sync.WaitGroup
	var claims atomic.Int64
	for range 10 {
		group.Go(func() {
			if begun, err := book.Begin(t.Context(), same); err == nil && begun.Claim != uuid.Nil {
				claims.Add(1)
			} else if !services.Is(err, services.Conflict) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, claims.Load())
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_storage.messages WHERE conversation_id = $1`, same.Conversation))
}

func TestConversationsOverHTTP(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	guest := user()
	guest.Role = services.RoleGuest
	var ids []string
	for i := range 3 {
		id := uuid.New()
		ids = append(ids, id.String())
		for turn := range 3 {
			tell(t, b.talks, ada, id, fmt.Sprint("talk ", i), said(fmt.Sprint("question ", turn), fmt.Sprint("answer ", turn)))
		}
	}
	var listed []conversations.Conversation
	page := b.do(t, ada, "GET", "/chat/conversations?limit=2", "")
	require.NoError(t, json.Unmarshal(page.Data, &listed), page.Text)
	require.Equal(t, []string{ids[2], ids[1]}, []string{listed[0].ID.String(), listed[1].ID.String()})
	page = b.do(t, ada, "GET", "/chat/conversations?limit=2&cursor="+page.NextCursor, "")
	require.NoError(t, json.Unmarshal(page.Data, &listed), page.Text)
	require.Len(t, listed, 1)
	require.JSONEq(t, `{"success":true,"data":[]}`, b.do(t, guest, "GET", "/chat/conversations", "").Text)

	path := "/chat/conversations/" + ids[0]
	var read struct {
		Title, NextCursor string
		Messages          int
		Said              []conversations.Message
	}
	require.NoError(t, json.Unmarshal(b.do(t, ada, "GET", path+"?limit=4", "").Data, &read))
	require.Equal(t, "talk 0", read.Title)
	require.Equal(t, 6, read.Messages)
	require.Equal(t, "question 0 | answer 0 | question 1 | answer 1", contents(read.Said))
	cursor := read.NextCursor
	read.NextCursor = ""
	require.NoError(t, json.Unmarshal(b.do(t, ada, "GET", path+"?limit=4&cursor="+cursor, "").Data, &read))
	require.Equal(t, "question 2 | answer 2", contents(read.Said))
	require.Empty(t, read.NextCursor)

	require.Equal(t, http.StatusOK, b.do(t, ada, "PUT", path, `{"title":"about it"}`).Status)
	require.Equal(t, http.StatusBadRequest, b.do(t, ada, "PUT", path, `{"title":""}`).Status)
	exported := text(t, b.ask(t, ada, "GET", path+"/export", nil, nil))
	require.Contains(t, exported, "# about it\n\n**user**, ")
	require.Contains(t, exported, "\n\nanswer 2\n")
	require.Contains(t, text(t, b.ask(t, ada, "GET", path+"/export?format=json", nil, nil)), `"content":"answer 2"`)
	require.Equal(t, http.StatusBadRequest, b.ask(t, ada, "GET", path+"/export?format=pdf", nil, nil).StatusCode)

	for method, of := range map[string]string{"GET": path, "PUT": path, "DELETE": path} {
		require.Equal(t, http.StatusNotFound, b.do(t, user(), method, of, `{"title":"x"}`).Status)
	}
	require.Equal(t, http.StatusNotFound, b.ask(t, user(), "GET", path+"/export", nil, nil).StatusCode)
	require.Equal(t, http.StatusOK, b.do(t, ada, "DELETE", path, "").Status)
	require.Equal(t, http.StatusNotFound, b.do(t, ada, "GET", path, "").Status)
	require.EqualValues(t, 12, b.number(t, `SELECT count(*) FROM uaol_storage.messages`))
}

func TestTitle(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"": "Conversation", " \n": "Conversation", "a\x00b": "ab", "two  words\n": "two words",
		strings.Repeat("é", 81): strings.Repeat("é", 79) + "…", strings.Repeat("é", 80): strings.Repeat("é", 80),
	} {
		require.Equal(t, want, conversations.Title(said))
	}
}
