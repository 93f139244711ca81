package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

type wish struct {
	Body struct {
		Say  string `json:"say" minLength:"1"`
		Fail string `json:"fail,omitempty"`
	}
}

func streams(h Streamer[wish]) *gin.Engine {
	engine := gin.New()
	Mount(engine, Guards{Authenticator: roles{}}, true, PostStream("/say", "Say", h, Allow(Guest), Says("body.say", "Say something")))
	return engine
}

func TestEvents(t *testing.T) {
	t.Parallel()
	engine := streams(func(_ context.Context, caller services.Caller, in *wish, out *Events) error {
		if in.Body.Fail == "at once" {
			return services.Errorf(services.Conflict, "no")
		}
		require.NoError(t, out.Send("said", map[string]string{"text": in.Body.Say + "\n", "by": string(caller.Role)}))
		if in.Body.Fail != "" {
			return services.Errorf(services.Upstream, "cut").WithDetails(1)
		}
		return nil
	})
	got := do(engine, "POST", "/say", strings.NewReader(`{"say":"hello"}`), "X-API-Key", "user")
	require.Equal(t, "text/event-stream", got.Header().Get("Content-Type"))
	require.Equal(t, "event: said\ndata: {\"by\":\"user\",\"text\":\"hello\\n\"}\n\n", got.Body.String())
	got = do(engine, "POST", "/say", strings.NewReader(`{"say":"hello","fail":"later"}`))
	require.Equal(t, 200, got.Code)
	require.True(t, strings.HasSuffix(got.Body.String(), "event: error\ndata: {\"success\":false,\"error\":{\"code\":\"UPSTREAM_ERROR\",\"message\":\"cut\",\"details\":1}}\n\n"), got.Body)
	got = do(engine, "POST", "/say", strings.NewReader(`{"say":"hello","fail":"at once"}`))
	require.Equal(t, 409, got.Code)
	require.JSONEq(t, `{"success":false,"error":{"code":"CONFLICT","message":"no"}}`, got.Body.String())
	got = do(engine, "POST", "/say", strings.NewReader(`{}`))
	require.Equal(t, 400, got.Code)
	require.Contains(t, got.Body.String(), `"message":"Say something"`)
	require.Equal(t, 401, do(engine, "POST", "/say", strings.NewReader(`{"say":"x"}`), "X-API-Key", "bad").Code)
}

// TestAStreamOutlivesItsBodysDeadline: the library gives a body five seconds to arrive.
func TestAStreamOutlivesItsBodysDeadline(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(streams(func(ctx context.Context, _ services.Caller, _ *wish, out *Events) error {
		require.NoError(t, out.Send("first", nil))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(6 * time.Second):
			return out.Send("last", nil)
		}
	}))
	defer server.Close()
	response, err := http.Post(server.URL+"/say", "application/json", strings.NewReader(`{"say":"x"}`)) //nolint:noctx // it ends by itself
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "event: first\ndata: null\n\nevent: last\ndata: null\n\n", string(text))
}

// TestWhoDoesNotRead is let go after a while: what an answer holds is not held for ever.
func TestWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	engine := gin.New()
	engine.GET("/", func(c *gin.Context) {
		out := &Events{NewStream(c.Writer, c.Request), c}
		out.patience = 200 * time.Millisecond
		for {
			if err := out.Send("much", strings.Repeat("x", 1<<20)); err != nil {
				ended <- err
				return
			}
		}
	})
	server := httptest.NewServer(engine)
	defer server.Close()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("it is waited for")
	}
}

// TestEventsOfAGet come with ids, and what the path and the headers say is checked.
func TestEventsOfAGet(t *testing.T) {
	t.Parallel()
	type input struct {
		ID    uuid.UUID `path:"id" format:"uuid"`
		After string    `header:"Last-Event-ID"`
	}
	engine := gin.New()
	Mount(engine, Guards{Authenticator: roles{}}, true, GetStream("/follow/{id}", "Follow", func(_ context.Context, _ services.Caller, in *input, out *Events) error {
		return out.SendAs("7", "heard", in.After)
	}, Allow(Guest)))
	got := do(engine, "GET", "/follow/"+uuid.NewString(), nil, "Last-Event-ID", "6")
	require.Equal(t, "id: 7\nevent: heard\ndata: \"6\"\n\n", got.Body.String())
	require.Equal(t, 400, do(engine, "GET", "/follow/7", nil).Code)
}

func TestAQuietStreamBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recorder := httptest.NewRecorder()
		c, _ := gin.CreateTestContext(recorder)
		c.Request = httptest.NewRequest("GET", "/", nil)
		out := &Events{NewStream(c.Writer, c.Request), c}
		ctx, cancel := context.WithCancel(t.Context())
		go out.beat(ctx, beatEvery)
		time.Sleep(2 * beatEvery)
		synctest.Wait()
		require.Empty(t, recorder.Body.String(), "an ordinary answer is still possible")
		require.NoError(t, out.Send("x", 1))
		time.Sleep(2*beatEvery + 1)
		synctest.Wait()
		cancel()
		synctest.Wait()
		lines := bufio.NewScanner(strings.NewReader(recorder.Body.String()))
		beats := 0
		for lines.Scan() {
			if lines.Text() == ": still here" {
				beats++
			}
		}
		require.Equal(t, 2, beats)
	})
}
