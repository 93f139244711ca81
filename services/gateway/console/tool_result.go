package console

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"reflect"
	"strings"
)

// toolResult is what a tool answered.
type toolResult struct {
	Failed     bool // it says so itself
	Asks       bool // it wants something first
	Parts      []resultPart
	Structured json.RawMessage
	Whole      json.RawMessage
}

// resultPart is a piece of a result's content.
type resultPart struct {
	Kind  string // text, image or file
	Text  string
	Image template.URL
	About string // its kind and size, or its name and address
}

// shownImages are the kinds that browsers show as pictures and nothing else.
var shownImages = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// resultOf reads a result of tools/call. What is none is shown as it is.
func resultOf(whole json.RawMessage) toolResult {
	var said struct {
		Content    []json.RawMessage `json:"content"`
		Structured json.RawMessage   `json:"structuredContent"`
		Failed     bool              `json:"isError"`
		Kind       string            `json:"resultType"`
	}
	r := toolResult{Whole: whole}
	if json.Unmarshal(whole, &said) != nil {
		return r
	}
	r.Failed, r.Asks = said.Failed, said.Kind == "input_required"
	if says(said.Structured) {
		r.Structured = said.Structured
	}
	for _, content := range said.Content {
		if part, shown := partOf(content, r.Structured); shown {
			r.Parts = append(r.Parts, part)
		}
	}
	return r
}

// partOf reads one piece; shown is false for what stands in the structured content too.
func partOf(content, structured json.RawMessage) (part resultPart, shown bool) {
	var c struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		Data     string `json:"data"`
		MIME     string `json:"mimeType"`
		URI      string `json:"uri"`
		Name     string `json:"name"`
		Resource struct {
			URI  string `json:"uri"`
			MIME string `json:"mimeType"`
			Text string `json:"text"`
			Blob string `json:"blob"`
		} `json:"resource"`
	}
	if json.Unmarshal(content, &c) != nil {
		return resultPart{Kind: "text", Text: indented(content)}, true
	}
	switch c.Type {
	case "text":
		return resultPart{Kind: "text", Text: readable(c.Text)}, !repeats(c.Text, structured)
	case "image", "audio":
		return mediaPart(c.MIME, c.Data), true
	case "resource_link":
		return resultPart{Kind: "file", About: strings.TrimSpace(c.Name + " " + c.URI)}, true
	case "resource":
		if c.Resource.Blob != "" {
			part = mediaPart(c.Resource.MIME, c.Resource.Blob)
			part.About = c.Resource.URI + ", " + part.About
			return part, true
		}
		return resultPart{Kind: "text", Text: c.Resource.Text, About: c.Resource.URI}, true
	}
	return resultPart{Kind: "text", Text: indented(content)}, true
}

func mediaPart(kind, data string) resultPart {
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return resultPart{Kind: "file", About: kind + " that can't be read"}
	}
	part := resultPart{Kind: "file", About: kind + ", " + bytesText(int64(len(raw)))}
	for _, shown := range shownImages {
		if kind == shown {
			part.Kind = "image"
			part.Image = template.URL("data:" + shown + ";base64," + base64.StdEncoding.EncodeToString(raw)) // #nosec G203 -- a picture of a known kind, in letters and digits
		}
	}
	return part
}

// readable breaks the lines of a text that is JSON.
func readable(text string) string {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' {
		return text
	}
	return indented(json.RawMessage(text))
}

// repeats reports a text that says what the structured content says: MCP wants both.
func repeats(text string, structured json.RawMessage) bool {
	if structured == nil {
		return false
	}
	var a, b any
	return numbered([]byte(text), &a) == nil && numbered(structured, &b) == nil && reflect.DeepEqual(a, b)
}

// numbered decodes with numbers as they are written.
func numbered(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
