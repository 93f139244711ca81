package registry

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/services"
)

// follow lets the cache count for the next moment.
func (b *bench) follow(t testing.TB) {
	t.Helper()
	require.NoError(t, b.cache.follower.Look(t.Context()))
}

// TestToolsAreShownFromMemory: to whoever can't change them, in the very bytes that the
// database's would be, until they change.
func TestToolsAreShownFromMemory(t *testing.T) {
	t.Parallel()
	b, owner, root, stranger := setup(t), user(), admin(), user()
	tool := b.offered(t, owner, toolURL, method("weather", "Rain & <sun>"))
	path := "/tools/" + tool.ID.String()
	show := func(caller services.Caller) string {
		b.follow(t)
		got := b.do(t, caller, "GET", path, "", nil)
		require.Equal(t, http.StatusOK, got.Status, got.Text)
		return got.Text
	}
	stored := show(owner)
	first := show(stranger)
	// Behind everybody's back: nothing tells of it.
	behind := func(description string) {
		_, err := postgres.Exec(t.Context(), b.pool, `UPDATE uaol_registry.tools SET description = $2 WHERE tool_id = $1`, tool.ID, description)
		require.NoError(t, err)
	}
	behind("Changed")
	require.Equal(t, first, show(stranger))
	require.Equal(t, first, show(services.Caller{}))
	for name, insider := range map[string]services.Caller{"owner": owner, "admin": root} {
		require.Contains(t, show(insider), `"description":"Changed"`, name)
		require.NotEqual(t, stored, show(insider), name)
	}
	require.Equal(t, first, show(stranger), "what insiders saw is kept for nobody")

	// Another process has changed it.
	b.cache.changed.Set(tool.ID, time.Now())
	require.Contains(t, show(stranger), `"description":"Changed"`)
	behind("Again")
	require.Contains(t, show(stranger), `"description":"Changed"`)

	// Nobody can tell whether it has changed.
	following := b.handler.showcase.cache
	b.handler.showcase.cache = setup(t).cache // which has never looked
	require.Contains(t, b.do(t, stranger, "GET", path, "", nil).Text, `"description":"Again"`)
	b.handler.showcase.cache = following

	// What is private now is nobody else's, at once where it was done.
	private := Private
	_, err := b.service.Update(t.Context(), owner, tool.ID, Change{Visibility: &private})
	require.NoError(t, err)
	b.follow(t)
	require.Equal(t, http.StatusNotFound, b.do(t, stranger, "GET", path, "", nil).Status)
}

// TestWhatIsNotApprovedIsShownAsStored whoever asks: it changes soon.
func TestWhatIsNotApprovedIsShownAsStored(t *testing.T) {
	t.Parallel()
	b, owner, stranger := setup(t), user(), user()
	tool := b.register(t, owner, "Waits")
	b.follow(t)
	path := "/tools/" + tool.ID.String()
	require.Contains(t, b.do(t, stranger, "GET", path, "", nil).Text, `"status":"Pending"`)
	_, err := postgres.Exec(t.Context(), b.pool, `UPDATE uaol_registry.tools SET status = 'Approved' WHERE tool_id = $1`, tool.ID)
	require.NoError(t, err)
	require.Contains(t, b.do(t, stranger, "GET", path, "", nil).Text, `"status":"Approved"`)
}

// TestShownAsWritten: a page is what the typed operation's writer makes of the tool.
func TestShownAsWritten(t *testing.T) {
	t.Parallel()
	b, stranger := setup(t), user()
	tool := b.offered(t, user(), toolURL, method("weather", "Rain & <sun>  "))
	answer := func() (int, http.Header, string) {
		recorder := httptest.NewRecorder()
		b.engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/tools/"+tool.ID.String(), http.NoBody))
		recorder.Header().Del("Content-Length") // the server's own for what is this short
		return recorder.Code, recorder.Header(), recorder.Body.String()
	}
	b.follow(t)
	status, header, body := answer()
	_, at := b.handler.showcase.find(tool.ID, stranger)
	require.True(t, at, "it is at hand now")
	again, headerAgain, bodyAgain := answer()
	require.Equal(t, status, again)
	require.Equal(t, header, headerAgain)
	require.Equal(t, body, bodyAgain)
	for _, other := range []Visibility{Organization, Private} {
		hidden := Tool{ID: uuid.New(), Status: Approved, Visibility: other, Organization: uuid.New(), Developer: uuid.New()}
		require.NoError(t, b.handler.showcase.keep(stranger, hidden, time.Now()))
		_, at = b.handler.showcase.find(hidden.ID, stranger)
		require.False(t, at, other)
	}
}
