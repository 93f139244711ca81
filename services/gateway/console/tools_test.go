package console

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"uaol/services/gateway/console/lines"
)

// TestShellWord: what stands in a command to copy reaches the program as it was.
func TestShellWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"echo": "echo", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$(id)": "'$(id)'", "a\nb": "'a\nb'", "--x=1": "--x=1", "`id`;&": "'`id`;&'",
	} {
		require.Equal(t, want, shellWord(word), word)
		said, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellWord(word)).Output()
		require.NoError(t, err)
		require.Equal(t, word, string(said))
	}
}

func TestShellArguments(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		`{}`: "", `{"b":2,"a":"x y"}`: ` --arg 'a=x y' --arg b:=2`, `{"a":{"c":[1]}}`: ` --arg 'a:={"c":[1]}'`,
		`{"a=b":1}`: ` '{"a=b":1}'`, `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`: ` '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}'`,
	} {
		require.Equal(t, want, shellArguments(json.RawMessage(arguments)), arguments)
	}
}

// TestResults: texts stay texts, and only kinds that are nothing but pictures are shown
// as such.
func TestResults(t *testing.T) {
	t.Parallel()
	data := base64.StdEncoding.EncodeToString([]byte("\x89PNG"))
	content := func(parts ...string) toolResult {
		return resultOf(json.RawMessage(`{"content":[` + strings.Join(parts, ",") + `],"structuredContent":{"n":1.0,"a":"x"}}`))
	}
	for part, want := range map[string]resultPart{
		`{"type":"text","text":"<b>"}`:                                                              {Kind: "text", Text: "<b>"},
		`{"type":"text","text":"{\"b\":1}"}`:                                                        {Kind: "text", Text: "{\n  \"b\": 1\n}"},
		`{"type":"image","mimeType":"image/png","data":"` + data + `"}`:                             {Kind: "image", Image: "data:image/png;base64,iVBORw==", About: "image/png, 4 bytes"},
		`{"type":"image","mimeType":"image/svg+xml","data":"` + data + `"}`:                         {Kind: "file", About: "image/svg+xml, 4 bytes"},
		`{"type":"image","mimeType":"image/png;x=\"><script>","data":"` + data + `"}`:               {Kind: "file", About: `image/png;x="><script>, 4 bytes`},
		`{"type":"image","mimeType":"image/png","data":"\"><script>"}`:                              {Kind: "file", About: "image/png that can't be read"},
		`{"type":"audio","mimeType":"audio/wav","data":"` + data + `"}`:                             {Kind: "file", About: "audio/wav, 4 bytes"},
		`{"type":"resource_link","uri":"javascript:x","name":"n"}`:                                  {Kind: "file", About: "n javascript:x"},
		`{"type":"resource","resource":{"uri":"a:b","text":"c"}}`:                                   {Kind: "text", Text: "c", About: "a:b"},
		`{"type":"resource","resource":{"uri":"a:b","mimeType":"image/gif","blob":"` + data + `"}}`: {Kind: "image", Image: "data:image/gif;base64,iVBORw==", About: "a:b, image/gif, 4 bytes"},
		`{"type":"resource","resource":{"uri":"a:b","mimeType":"text/html","blob":"` + data + `"}}`: {Kind: "file", About: "a:b, text/html, 4 bytes"},
		`{"type":"new"}`: {Kind: "text", Text: "{\n  \"type\": \"new\"\n}"},
		`5`:              {Kind: "text", Text: "5"},
	} {
		require.Equal(t, []resultPart{want}, content(part).Parts, part)
	}
	require.Empty(t, content(`{"type":"text","text":"{\"a\": \"x\", \"n\": 1.0}"}`).Parts, "it stands in the structured content")
	require.Len(t, content(`{"type":"text","text":"{\"a\": \"x\", \"n\": 1}"}`).Parts, 1)
	require.True(t, resultOf(json.RawMessage(`{"isError":true}`)).Failed)
	require.True(t, resultOf(json.RawMessage(`{"resultType":"input_required"}`)).Asks)
	require.Equal(t, json.RawMessage(`"x"`), resultOf(json.RawMessage(`"x"`)).Whole)
}

// TestToolFormsSendWhatDiffers, and come back as they were.
func TestToolFormsSendWhatDiffers(t *testing.T) {
	t.Parallel()
	var whole tool
	require.NoError(t, json.Unmarshal([]byte(`{"name":"W","description":"a\r\nb","tags":["x","y"],"gateway_url":"https://a","protocol":"mcp","visibility":"public","credit_cost_per_call":2,
		"method_costs":{"m":0,"a":5},"inject":{"headers":{"X":"{{secret.K}}: v"}},"oauth":{"grant":"authorization_code","scopes":["r","w"]},"limits":{"per_user":3},
		"command":{"path":"npx","args":["-y","s"]},"egress":["localhost:1"]}`), &whole))
	before := toolFormOf(whole)
	require.Equal(t, "a = 5\nm = 0", before.Prices)
	require.Equal(t, "X: {{secret.K}}: v", before.Headers)
	body, faults := before.change(before)
	require.Empty(t, body)
	require.Empty(t, faults)

	all, faults := before.change(toolForm{})
	require.Empty(t, faults)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	var again tool
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, before, toolFormOf(again))

	for name, test := range map[string]struct {
		change func(*toolForm)
		want   string
	}{
		"tags":            {func(f *toolForm) { f.Tags = " z,, y " }, `{"tags":["z","y"]}`},
		"no prices":       {func(f *toolForm) { f.Prices = "" }, `{"method_costs":{}}`},
		"no consent":      {func(f *toolForm) { f.Grant = "" }, `{"oauth":null}`},
		"no limits":       {func(f *toolForm) { f.PerUser = "" }, `{"limits":null}`},
		"another limit":   {func(f *toolForm) { f.Timeout = "1,000" }, `{"limits":{"per_user":3,"timeout_ms":1000}}`},
		"nothing is sent": {func(f *toolForm) { f.Headers = "" }, `{"inject":{}}`},
		"free":            {func(f *toolForm) { f.Price = "0" }, `{"credit_cost_per_call":0}`},
		"an address":      {func(f *toolForm) { f.Program, f.Args, f.Protocol, f.Address = "", "", "sse", "https://b" }, `{"command":null,"gateway_url":"https://b","protocol":"sse"}`},
	} {
		now := before
		test.change(&now)
		body, faults := now.change(before)
		require.Empty(t, faults, name)
		text, err := json.Marshal(body)
		require.NoError(t, err)
		require.JSONEq(t, test.want, string(text), name)
	}
	wrong := before
	wrong.Price, wrong.Prices, wrong.PerMinute, wrong.Env = "two", "m", "1.5", ": x"
	_, faults = wrong.change(before)
	require.Equal(t, []string{"body.credit_cost_per_call", "body.inject.env", "body.limits.per_minute", "body.method_costs"}, sorted(faults))
}

func TestFormFaults(t *testing.T) {
	t.Parallel()
	all := formFaults{"body.tags[1]": "must be short", "body.name": "is needed", "body.names": "x", "body.limits.per_user": "y", "path.toolId": "z"}
	require.Equal(t, "[1] must be short", all.At("tags"))
	require.Equal(t, "is needed", all.At("name"))
	require.True(t, all.Within("oauth", "limits"))
	require.False(t, all.Within("oauth"))
	require.Equal(t, map[string]string{"body.names": "x", "path.toolId": "z"}, all.Rest())
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for begin, want := range map[string]string{
		`{"mcpServers":{}}`: "mcp-servers", `{"servers":{}}`: "mcp-servers", "openapi: 3.1.0\n": "openapi", ` {"openapi":"3.0.0","servers":[]}`: "openapi", `{"swagger":"2.0"}`: "openapi",
		`{"name":"x","remotes":[]}`: "server.json", `{"packages":[`: "server.json",
	} {
		require.Equal(t, want, formatOf(begin), begin)
	}
	for address, want := range map[string]string{
		"https://registry.example.com": "mcp-registry", "https://registry.example.com/": "mcp-registry", "https://a.example/v0.1/servers": "mcp-registry",
		"https://a.example/server.json": "server.json", "https://a.example/.cursor/mcp.json": "mcp-servers", "https://a.example/openapi.yaml": "openapi",
	} {
		require.Equal(t, want, formatAt(address), address)
	}
}

// TestQuoting: a file becomes a text of JSON, whatever pieces it is read in.
func TestQuoting(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("\"é\\\n世界🎈\x00 <", 20_000)
	for name, reader := range map[string]io.Reader{
		"whole": strings.NewReader(text), "by bytes": iotest.OneByteReader(strings.NewReader(text)), "by halves": iotest.HalfReader(strings.NewReader(text)), "with its end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		quoted, err := io.ReadAll(&quoting{from: reader})
		require.NoError(t, err, name)
		var back string
		require.NoError(t, json.Unmarshal([]byte(`"`+string(quoted)+`"`), &back), name)
		require.Equal(t, text, back, name)
	}
	_, err := io.ReadAll(&quoting{from: iotest.ErrReader(io.ErrClosedPipe)})
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func FuzzQuoting(f *testing.F) {
	f.Add("é\xff\"", 1)
	f.Fuzz(func(t *testing.T, text string, _ int) {
		quoted, err := io.ReadAll(&quoting{from: iotest.OneByteReader(strings.NewReader(text))})
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal([]byte(`"`+string(quoted)+`"`), &back); err != nil || utf8.ValidString(text) && back != text {
			t.Fatalf("%q became %q: %v", text, quoted, err)
		}
	})
}

// TestDifferences: members of JSON in another order are no change, and numbers stay as
// they are written.
func TestDifferences(t *testing.T) {
	t.Parallel()
	old := &toolMethod{Description: "a\nb", Input: json.RawMessage(`{"type":"object","minimum":1.0}`), Annotations: &annotations{ReadOnly: true}}
	now := &toolMethod{Description: "a\nc", Input: json.RawMessage(`{"minimum":1.0, "type":"object"}`), Annotations: &annotations{ReadOnly: true}}
	require.Equal(t, changedMethod{Name: "m", Kind: "changed", Parts: []changedPart{{"Description", []lines.Line{{Sign: " ", Text: "a"}, {Sign: "-", Text: "b"}, {Sign: "+", Text: "c"}}}}}, differenceOf("m", old, now))
	now.Input = json.RawMessage(`{"minimum":1, "type":"object"}`)
	require.Len(t, differenceOf("m", old, now).Parts, 2)
	require.Equal(t, "added", differenceOf("m", nil, now).Kind)
	gone := differenceOf("m", old, nil)
	require.Equal(t, "removed", gone.Kind)
	for _, part := range gone.Parts {
		for _, line := range part.Lines {
			require.Equal(t, lines.Removed, line.Sign)
		}
	}
	require.Equal(t, "plain", documentText(json.RawMessage(`"plain"`)))
	require.Empty(t, documentText(nil))
}

func TestEffects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		said string
		want string
		asks bool
	}{
		"nothing":     {`null`, "effects not stated", false},
		"read-only":   {`{"readOnlyHint":true,"destructiveHint":true,"idempotentHint":true,"openWorldHint":true}`, "read-only open world", false},
		"destructive": {`{"destructiveHint":true,"idempotentHint":true}`, "destructive idempotent", true},
		"adds":        {`{"destructiveHint":false}`, "adds only", false},
	} {
		var m toolMethod
		require.NoError(t, json.Unmarshal([]byte(`{"annotations":`+test.said+`}`), &m))
		var names []string
		for _, e := range m.Effects() {
			names = append(names, e.Name)
		}
		require.Equal(t, test.want, strings.Join(names, " "), name)
		require.Equal(t, test.asks, m.Destroys(), name)
	}
}
