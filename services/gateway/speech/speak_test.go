package speech

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

// mp3 answers as OpenAI's /audio/speech does, in two pieces.
func mp3(w http.ResponseWriter, _ *http.Request, _ int) {
	w.Header().Set("Content-Type", "audio/mpeg")
	_, _ = io.WriteString(w, "ID3 first ")
	w.(http.Flusher).Flush()
	_, _ = io.WriteString(w, "second")
}

func (b *bench) speak(t testing.TB, body string) answer {
	t.Helper()
	return b.post(t, "/chat/speech", "application/json", strings.NewReader(body))
}

func TestSpeak(t *testing.T) {
	t.Parallel()
	b := setup(t, own, nil, mp3)
	a := b.speak(t, `{"text":"Grüße","voice":"nova"}`)
	require.Equal(t, 200, a.Status, a.Text)
	require.Equal(t, "audio/mpeg", a.Header.Get("Content-Type"))
	require.Equal(t, "ID3 first second", a.Text)
	got := b.asked()[0]
	require.Equal(t, "/v1/audio/speech", got.path)
	require.Equal(t, "Bearer "+ownKey, got.authorization)
	require.Equal(t, map[string]string{"model": "gpt-4o-mini-tts", "input": "Grüße", "voice": "nova", "response_format": "mp3"}, got.fields)
	require.Equal(t, 200, b.speak(t, `{"text":"x"}`).Status)
	require.Equal(t, "alloy", b.asked()[1].fields["voice"])
	require.Zero(t, b.spent(t))

	paid := setup(t, ours, map[string]string{"UAOL_SPEECH_PRICE": "3"}, mp3)
	require.Equal(t, 200, paid.speak(t, `{"text":"`+strings.Repeat("ü", 1000)+`"}`).Status)
	require.Equal(t, int64(3), paid.spent(t))
	require.Equal(t, 200, paid.speak(t, `{"text":"`+strings.Repeat("ü", MostSpoken)+`"}`).Status)
	require.Equal(t, int64(3+15), paid.spent(t))

	local := setup(t, own, map[string]string{"UAOL_SPEECH_URL": "here"}, mp3)
	require.Equal(t, 200, local.speak(t, `{"text":"x"}`).Status)
	require.Equal(t, "/other/audio/speech", local.asked()[0].path)
	require.Empty(t, local.asked()[0].authorization)
}

func TestWhatIsSpoken(t *testing.T) {
	t.Parallel()
	b := setup(t, own, nil, mp3)
	for body, message := range map[string]string{
		"": "Text is required", "{}": "Text is required", `{"text":" \n"}`: "Text is required", "null": "Text is required",
		`{`:          "body: malformed JSON: unexpected end of JSON input",
		`[]`:         "body: must be an object",
		`{"text":7}`: "body.text: must be a text, not a number",
		`{"text":"` + strings.Repeat("ü", MostSpoken+1) + `"}`: "body.text: must have at most 4096 characters",
		`{"text":"x","voice":"../x"}`:                          "body.voice: is no name of a voice",
	} {
		a := b.speak(t, body)
		require.Equal(t, 400, a.Status, "%.40s: %s", body, a.Text)
		require.Equal(t, message, a.Error.Message, "%.40s", body)
	}
	a := b.speak(t, `{"text":"`+strings.Repeat("x", maxText)+`"}`)
	require.Equal(t, 413, a.Status, a.Text)
	require.Empty(t, b.asked())
}

func TestSpeechsFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply  func(w http.ResponseWriter)
		status int
		code   string
		asked  int
	}{
		"refused key": {func(w http.ResponseWriter) {
			say(w, 401, `{"error":{"message":"Incorrect API key provided: `+platform+`.","code":"invalid_api_key"}}`)
		}, 400, "PROVIDER_KEY_REFUSED", 1},
		"come back later": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "77")
			say(w, 429, `{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}`)
		}, 429, "RATE_LIMIT_ERROR", 1},
		"words":   {func(w http.ResponseWriter) { say(w, 200, `{"error":{"message":"`+platform+`"}}`) }, 502, "UPSTREAM_ERROR", 1},
		"nothing": {func(w http.ResponseWriter) { w.Header().Set("Content-Type", "audio/mpeg") }, 502, "ANSWER_CUT", 3},
		"failure": {func(w http.ResponseWriter) { say(w, 500, `{"error":{"message":"The server had an error"}}`) }, 502, "UPSTREAM_ERROR", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, ours, nil, func(w http.ResponseWriter, _ *http.Request, _ int) { test.reply(w) })
			a := b.speak(t, `{"text":"x"}`)
			require.Equal(t, test.status, a.Status, a.Text)
			require.Equal(t, test.code, a.Error.Code)
			require.NotContains(t, a.Text, platform[5:12])
			require.Len(t, b.asked(), test.asked)
			require.Zero(t, b.spent(t))
		})
	}
}

// TestSpeechIsCut: half of it is not taken for all of it, nor asked for again.
func TestSpeechIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t, ours, nil, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "ID3 first ")
	})
	response, err := http.Post(b.server.URL+"/chat/speech", "application/json", strings.NewReader(`{"text":"x"}`))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	got, err := io.ReadAll(response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "ID3 first ", string(got))
	require.Len(t, b.asked(), 1)
	require.Equal(t, int64(10), b.spent(t))
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for want, set := range map[string]map[string]string{
		"":                               {"UAOL_SPEECH_URL": "http://localhost:8880/v1", "UAOL_TRANSCRIPTION_URL": "https://example.com", "UAOL_SPEECH_PRICE": "0"},
		"UAOL_SPEECH_URL holds":          {"UAOL_SPEECH_URL": "localhost"},
		"UAOL_TRANSCRIPTION_URL holds":   {"UAOL_TRANSCRIPTION_URL": "http://u:p@h/v1"},
		"UAOL_SPEECH_PRICE holds":        {"UAOL_SPEECH_PRICE": "-1"},
		"UAOL_TRANSCRIPTION_PRICE holds": {"UAOL_TRANSCRIPTION_PRICE": "1000001"},
		"UAOL_TRANSCRIPTION_KEY holds a text of 9 characters": {"UAOL_TRANSCRIPTION_KEY": "two words"},
	} {
		_, err := config.Parse[Config](config.Of(set))
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "two words")
	}
}
