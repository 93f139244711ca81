package storage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
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
		bookContract(t, setup(t).talks)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, b.routes()...)}, peerstest.Tokens(t))
		require.NoError(t, err)
		bookContract(t, client)
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

func bookContract(t *testing.T, book conversations.Book) {
	ada, bob, id := user(), user(), uuid.New()
	colleague := user()
	colleague.Organization = ada.Organization
	recall := func(caller services.Caller, turn uuid.UUID, limit int) (conversations.Recalled, error) {
		return book.Recall(t.Context(), conversations.RecallRequest{Caller: caller, Conversation: id, Turn: turn, Limit: limit})
	}
	_, err := recall(ada, uuid.Nil, 10)
	require.True(t, services.Is(err, services.NotFound), err)
	first := conversations.AddRequest{Caller: ada, Conversation: id, Title: "  What is\n this? ", Turn: uuid.New(), Messages: said("hello", "good day")}
	first.Messages[1].Details = json.RawMessage(`{"model":"m"}`)
	for range 2 {
		require.NoError(t, book.Add(t.Context(), first), "the same turn again is the same")
	}
	second := conversations.AddRequest{Caller: ada, Conversation: id, Turn: uuid.New(), Messages: said("bad\x00 \xff text", "fine")}
	require.NoError(t, book.Add(t.Context(), second))
	got, err := recall(ada, first.Turn, 3)
	require.NoError(t, err)
	require.Equal(t, "good day | bad \uFFFD text | fine", contents(got.Messages))
	require.Equal(t, "hello | good day", contents(got.Turn))
	require.JSONEq(t, `{"model":"m"}`, string(got.Turn[1].Details))
	require.Equal(t, []int{1, 2}, []int{got.Turn[0].Seq, got.Turn[1].Seq})
	for _, other := range []services.Caller{bob, colleague} {
		_, err := recall(other, uuid.Nil, 10)
		require.True(t, services.Is(err, services.NotFound), err)
		err = book.Add(t.Context(), conversations.AddRequest{Caller: other, Conversation: id, Turn: uuid.New(), Messages: said("mine now")})
		require.True(t, services.Is(err, services.NotFound), err)
	}
	require.True(t, services.Is(book.Add(t.Context(), conversations.AddRequest{Caller: ada, Conversation: id}), services.Invalid))

	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			if err := book.Add(t.Context(), conversations.AddRequest{Caller: ada, Conversation: id, Turn: uuid.New(), Messages: said(fmt.Sprint("q", i), fmt.Sprint("a", i))}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got, err = recall(ada, uuid.Nil, 100)
	require.NoError(t, err)
	require.Len(t, got.Messages, 24)
	for i, m := range got.Messages {
		require.Equal(t, i+1, m.Seq)
		if i >= 4 && i%2 == 0 {
			require.Equal(t, "a"+m.Content[1:], got.Messages[i+1].Content, "a turn stays together")
		}
	}
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
			require.NoError(t, b.talks.Add(t.Context(), conversations.AddRequest{Caller: ada, Conversation: id, Title: fmt.Sprint("talk ", i), Turn: uuid.New(), Messages: said(fmt.Sprint("question ", turn), fmt.Sprint("answer ", turn))}))
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
