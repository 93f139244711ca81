package speech

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/billing"
)

const wav = "RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"

func said(w http.ResponseWriter, _ *http.Request, _ int) {
	say(w, 200, `{"text":"Hello UAOL.","usage":{"type":"duration","seconds":2}}`)
}

func TestTranscribe(t *testing.T) {
	t.Parallel()
	b := setup(t, own, nil, said)
	content := wav + strings.Repeat("\x7f", 3<<20)
	before := time.Now().Add(-time.Second)
	a := b.transcribe(t, content)
	require.Equal(t, 200, a.Status, a.Text)
	require.True(t, a.Success)
	require.Equal(t, "Hello UAOL.", a.Data.Text)
	at, err := time.Parse("2006-01-02T15:04:05.000Z", a.Data.Timestamp)
	require.NoError(t, err)
	require.WithinRange(t, at, before, time.Now().Add(time.Second))

	require.Len(t, b.asked(), 1)
	got := b.asked()[0]
	require.Equal(t, "/v1/audio/transcriptions", got.path)
	require.Equal(t, "Bearer "+ownKey, got.authorization)
	require.Equal(t, map[string]string{"model": "whisper-1", "response_format": "json", "file": "audio.wav"}, got.fields, "a name is by what it holds")
	require.Equal(t, content, string(got.file))
	require.Greater(t, got.length, int64(len(content)), "its length is told")
	require.Zero(t, b.spent(t), "one's own key costs nothing here")
}

// TestTranscribePlatform: with the platform's key each megabyte begun costs.
func TestTranscribePlatform(t *testing.T) {
	t.Parallel()
	b := setup(t, ours, map[string]string{"UAOL_TRANSCRIPTION_MODEL": "gpt-4o-transcribe", "UAOL_TRANSCRIPTION_PRICE": "7"}, said)
	require.Equal(t, 200, b.transcribe(t, wav).Status)
	require.Equal(t, "Bearer "+platform, b.asked()[0].authorization)
	require.Equal(t, "gpt-4o-transcribe", b.asked()[0].fields["model"])
	require.Equal(t, int64(7), b.spent(t))
	require.Equal(t, 200, b.transcribe(t, wav+strings.Repeat("x", 1<<20)).Status)
	require.Equal(t, int64(7+14), b.spent(t))

	free := setup(t, ours, map[string]string{"UAOL_TRANSCRIPTION_PRICE": "0"}, said)
	require.Equal(t, 200, free.transcribe(t, wav).Status)
	require.Zero(t, free.spent(t))

	dear := setup(t, ours, map[string]string{"UAOL_TRANSCRIPTION_PRICE": "10001"}, said)
	a := dear.transcribe(t, wav)
	require.Equal(t, 402, a.Status)
	require.Equal(t, "Insufficient credits. Required: 10001, Available: 10000", a.Error.Message)
	require.Empty(t, dear.asked(), "nobody was asked")
}

// TestOwnAddress: an operator's own server sees none of the users' keys.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"": "", "local-key": "Bearer local-key"} {
		b := setup(t, own, map[string]string{"UAOL_TRANSCRIPTION_URL": "here", "UAOL_TRANSCRIPTION_KEY": key}, said)
		require.Equal(t, 200, b.transcribe(t, wav).Status)
		require.Equal(t, "/other/audio/transcriptions", b.asked()[0].path)
		require.Equal(t, want, b.asked()[0].authorization)
		require.Equal(t, int64(10), b.spent(t))
	}
}

func TestWithoutAKey(t *testing.T) {
	t.Parallel()
	b := setup(t, noKey, nil, said)
	a := b.transcribe(t, wav)
	require.Equal(t, 500, a.Status, "as the original has it")
	require.Equal(t, "CONFIGURATION_ERROR", a.Error.Code)
	require.Equal(t, "OpenAI API key not configured", a.Error.Message)
	require.Contains(t, string(a.Error.Details), "store one with POST /api-keys")
	require.Equal(t, a.Error.Code, b.post(t, "/chat/speech", "application/json", strings.NewReader(`{"text":"x"}`)).Error.Code)
	require.Empty(t, b.asked())
}

func TestTypes(t *testing.T) {
	t.Parallel()
	b := setup(t, own, nil, said)
	for content, want := range map[string]string{
		wav:                               ".wav",
		"ID3\x04\x00\x00\x00\x00\x00\x0a": ".mp3",
		"\xff\xfb\x90\x64" + strings.Repeat("\x00", 400): ".mp3",
		"fLaC\x00\x00\x00\x22":                           ".flac",
		"OggS\x00\x02" + strings.Repeat("\x00", 20) + "\x01\x13OpusHead\x01\x01" + strings.Repeat("\x00", 20): ".oga",
		"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00M4A isommp42":                                                ".m4a",
		"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41":                                                ".mp4",
		"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\x82\x84webm":                ".webm",
	} {
		a := b.transcribe(t, content)
		require.Equal(t, 200, a.Status, "%s: %s", want, a.Text)
		asked := b.asked()
		require.Equal(t, "audio"+want, asked[len(asked)-1].fields["file"])
	}
	n := len(b.asked())
	for _, content := range []string{"words", "%PDF-1.4", "\x89PNG\r\n\x1a\n", "<html>", "MZ\x90", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "PK\x03\x04", "\x00"} {
		a := b.transcribe(t, content)
		require.Equal(t, 415, a.Status, a.Text)
		require.Equal(t, "UNSUPPORTED_MEDIA_TYPE", a.Error.Code)
		require.Equal(t, "Only audio files are allowed", a.Error.Message)
	}
	require.Len(t, b.asked(), n)
}

func TestForms(t *testing.T) {
	t.Parallel()
	b := setup(t, ours, nil, said)
	kind, body := recording(t, "audio", wav)
	for name, test := range map[string]struct {
		kind, body string
		message    string
	}{
		"nothing":         {"", "", "Audio file is required"},
		"JSON":            {"application/json", "{}", "Audio file is required"},
		"no boundary":     {"multipart/form-data", string(body), "Audio file is required"},
		"no parts":        {"multipart/form-data; boundary=x", "--x--\r\n", "Audio file is required"},
		"no file":         {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"audio\"\r\n\r\nx\r\n--x--\r\n", "Audio file is required"},
		"an empty file":   {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"a\"\r\n\r\n\r\n--x--\r\n", "Audio file is required"},
		"another's field": {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--x--\r\n", "Unexpected field"},
		"cut":             {kind, string(body[:len(body)-10]), "The upload was cut short, or is no form: unexpected EOF"},
	} {
		a := b.post(t, "/chat/transcribe", test.kind, strings.NewReader(test.body))
		require.Equal(t, 400, a.Status, "%s: %s", name, a.Text)
		require.Equal(t, test.message, a.Error.Message, name)
		if test.message == audioRequired {
			require.JSONEq(t, `[{"path":"body.audio","message":"Audio file is required"}]`, string(a.Error.Details))
		}
	}
	for _, n := range []int{mostAudio - len(wav), mostAudio - len(wav) + 1, mostAudio + 2*maxForm} {
		a := b.transcribe(t, wav+strings.Repeat("x", n))
		if n+len(wav) <= mostAudio {
			require.Equal(t, 200, a.Status, a.Text)
			continue
		}
		require.Equal(t, 413, a.Status, a.Text)
		require.Equal(t, "PAYLOAD_TOO_LARGE", a.Error.Code)
	}
	require.Len(t, b.asked(), 1)
	require.Equal(t, int64(250), b.spent(t), "25 MB")
}

func TestProvidersFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply  func(w http.ResponseWriter)
		status int
		code   string
		says   string
		asked  int
	}{
		"refused key": {func(w http.ResponseWriter) {
			say(w, 401, `{"error":{"message":"Incorrect API key provided: `+platform+`.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`)
		}, 400, "PROVIDER_KEY_REFUSED", "POST /api-keys", 1},
		"come back later": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "77")
			say(w, 429, `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`)
		}, 429, "RATE_LIMIT_ERROR", "no more requests", 1},
		"bad recording": {func(w http.ResponseWriter) {
			say(w, 400, `{"error":{"message":"Audio file might be corrupted or unsupported; ask `+platform+`","type":"invalid_request_error","param":"file","code":"invalid_value"}}`)
		}, 400, "MODEL_REQUEST_REFUSED", "might be corrupted", 1},
		"unknown model": {func(w http.ResponseWriter) {
			say(w, 404, `{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`)
		}, 400, "MODEL_UNKNOWN", "no model whisper-1", 1},
		"failure": {func(w http.ResponseWriter) {
			say(w, 500, `{"error":{"message":"The server had an error","type":"server_error"}}`)
		}, 502, "UPSTREAM_ERROR", "failed", 3},
		"cut": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			say(w, 200, `{"text":"Hel`)
		}, 502, "ANSWER_CUT", "cut off", 3},
		"no text": {func(w http.ResponseWriter) { say(w, 200, `{"txt":"x"}`) }, 502, "UPSTREAM_ERROR", "gives no text", 1},
		"garbage": {func(w http.ResponseWriter) { say(w, 200, `<html>`) }, 502, "UPSTREAM_ERROR", "not understood", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, ours, nil, func(w http.ResponseWriter, _ *http.Request, _ int) { test.reply(w) })
			a := b.transcribe(t, wav)
			require.Equal(t, test.status, a.Status, a.Text)
			require.Equal(t, test.code, a.Error.Code)
			require.Contains(t, a.Error.Message, test.says)
			require.NotContains(t, a.Text, platform[5:12])
			require.NotContains(t, a.Text, platform[len(platform)-7:])
			require.Len(t, b.asked(), test.asked)
			for _, r := range b.asked() {
				require.Equal(t, wav, string(r.file), "each attempt has all of it")
			}
			require.Zero(t, b.spent(t), "what failed costs nothing")
			if test.status == 429 {
				require.Equal(t, "77", a.Header.Get("Retry-After"))
			}
		})
	}
}

// TestCallerLeaves: what is done for somebody who left is paid.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	b := setup(t, ours, nil, func(http.ResponseWriter, *http.Request, int) {
		leave()
		<-over
	})
	defer close(over)
	kind, body := recording(t, "audio", wav)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.URL+"/chat/transcribe", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", kind)
	_, err = http.DefaultClient.Do(request)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool {
		balance, err := b.ledger.Balance(t.Context(), billing.BalanceRequest{Caller: b.caller})
		return err == nil && balance.Held == 0 && balance.Available == 9_990
	}, 10*time.Second, 20*time.Millisecond)
}

// TestMemory: recordings are not kept in memory, here or on their way.
func TestMemory(t *testing.T) {
	var received atomic.Int64
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received.Add(n)
		said(w, r, 0)
	}))
	t.Cleanup(provider.Close)
	b := &bench{caller: services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner}}
	b.serve(t, own, provider.URL, nil)
	send := func() {
		const head, tail = "--x\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"a\"\r\n\r\n" + wav, "\r\n--x--\r\n"
		a := b.post(t, "/chat/transcribe", "multipart/form-data; boundary=x", io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, 24<<20), strings.NewReader(tail)))
		require.Equal(t, 200, a.Status, a.Text)
	}
	send() // what is made once is made
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 4 {
		send()
	}
	runtime.ReadMemStats(&after)
	require.Greater(t, received.Load(), int64(5*24<<20))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "of 96 MB")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
