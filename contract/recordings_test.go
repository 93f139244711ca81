package contract

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// recording is one request to the original with its answer.
type recording struct {
	Number   int
	Section  string          `json:"section"`
	Service  services.Name   `json:"service"` // whose port it was sent to
	Method   string          `json:"method"`
	Path     string          `json:"path"`
	Note     string          `json:"note"`
	Headers  string          `json:"headers"` // "Name: value; Name: value"
	Body     json.RawMessage `json:"body"`    // a text is a body that was no JSON
	Status   *int            `json:"status"`  // nil: it never answered
	Response json.RawMessage `json:"response"`
}

func recordings(t *testing.T) []recording {
	t.Helper()
	text, err := os.ReadFile("testdata/original.json")
	require.NoError(t, err)
	var all []recording
	require.NoError(t, json.Unmarshal(text, &all))
	for i := range all {
		all[i].Number = i + 1
	}
	return all
}

// headers of the request. Tokens are only a placeholder.
func (r recording) headers() map[string]string {
	headers := map[string]string{}
	for line := range strings.SplitSeq(r.Headers, "; ") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			headers[name] = value
		}
	}
	return headers
}

// body of the request as it was sent; "" when there was none.
func (r recording) body() string {
	var raw string
	if json.Unmarshal(r.Body, &raw) == nil {
		return raw
	}
	return string(r.Body)
}

// answer is the recorded body: a JSON value, or a text when it was none.
func (r recording) answer() any {
	value := decode(r.Response)
	if text, ok := value.(string); ok && strings.HasPrefix(text, "{") {
		return decode([]byte(mend(text)))
	}
	return value
}

func (r recording) status() int {
	if r.Status == nil {
		return 0
	}
	return *r.Status
}

// cutShort marks where a recorded answer ends before the real one did.
const cutShort = "…cut short…"

// mend closes what a JSON text that was cut off inside a string leaves open.
func mend(text string) string {
	var open []byte
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{':
			open = append(open, '}')
		case c == '[':
			open = append(open, ']')
		case c == '}', c == ']':
			open = open[:len(open)-1]
		}
	}
	if inString {
		text += cutShort + `"`
	}
	for i := len(open) - 1; i >= 0; i-- {
		if i == 1 && open[i] == ']' { // the list of the envelope
			text += `,"` + cutShort + `"`
		}
		text += string(open[i])
	}
	return text
}

func decode(text []byte) any {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return string(text)
	}
	return value
}
