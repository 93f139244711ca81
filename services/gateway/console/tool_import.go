package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"uaol/services"
)

// importForm is what is imported.
type importForm struct {
	Format, URL, Text, Name, Client, Price, Visibility, Cursor string
	Dry                                                        bool
}

// imported is what came of it.
type imported struct {
	Imported  int `json:"imported"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Disabled  int `json:"disabled"`
	Skipped   []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"skipped"`
	Tools []struct {
		ID     string   `json:"tool_id"`
		Name   string   `json:"name"`
		Slug   string   `json:"slug"`
		Status string   `json:"status"`
		Source string   `json:"source_name"`
		Wanted []string `json:"secrets"`
	} `json:"tools"`
	Next  string `json:"next_cursor"`
	Pages int    `json:"pages"`
}

const (
	mostField   = maxForm // bytes of one field of the form
	looksAt     = 64 << 10
	pagesAtOnce = 5 // of a registry
)

// importTools reads the form part by part: its fields come before the file, which is
// passed on while it is read.
func importTools(v *visit) error {
	parts, err := v.r.MultipartReader()
	if err != nil {
		return badForm(err)
	}
	var f importForm
	fields := map[string]*string{
		"format": &f.Format, "url": &f.URL, "text": &f.Text, "name": &f.Name, "client_id": &f.Client,
		"credit_cost_per_call": &f.Price, "visibility": &f.Visibility, "cursor": &f.Cursor,
	}
	var file io.Reader
	for file == nil {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return badForm(err)
		}
		if file = fileOf(part); file != nil || part.FormName() == "file" {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(part, mostField+1))
		if err != nil || len(text) > mostField {
			return services.Errorf(services.TooLarge, "What was pasted is too large; choose it as a file").Because(err)
		}
		if part.FormName() == "dry_run" {
			f.Dry = true
		} else if to := fields[part.FormName()]; to != nil {
			*to = strings.TrimSpace(string(text))
		}
	}
	if file == nil && f.URL == "" {
		file = strings.NewReader(f.Text)
	}
	return v.importing(f, file)
}

// fileOf is a part that is a file somebody has chosen.
func fileOf(part *multipart.Part) io.Reader {
	if part.FormName() != "file" || filepath.Base(part.FileName()) == "." {
		return nil
	}
	return part
}

// importing sends what is imported on, and shows what came of it.
func (v *visit) importing(f importForm, file io.Reader) error {
	data := newToolData{By: "import", Form: newToolForm, Import: f}
	r := typed{map[string]string{}}
	body := map[string]any{"format": f.Format, "name": f.Name, "client_id": f.Client, "visibility": f.Visibility, "dry_run": f.Dry, "cursor": f.Cursor}
	if f.Price != "" {
		body["credit_cost_per_call"] = r.number("credit_cost_per_call", f.Price)
	}
	for _, name := range []string{"name", "client_id", "visibility", "cursor"} {
		if body[name] == "" {
			delete(body, name)
		}
	}
	var document *bufio.Reader
	if file != nil {
		document = bufio.NewReaderSize(file, looksAt)
		begin, _ := document.Peek(looksAt) // less than that is its end
		if f.Format == "" {
			body["format"] = formatOf(string(begin))
		}
		if len(bytes.TrimSpace(begin)) == 0 {
			r.faults["body.document"] = "choose a file, paste a document, or say where it is"
		}
	} else {
		body["url"] = f.URL
		if f.Format == "" {
			body["format"] = formatAt(f.URL)
		}
		if body["format"] == "mcp-registry" {
			body["pages"] = pagesAtOnce
		}
	}
	if len(r.faults) > 0 {
		return v.toolFormAgain(data, nil, r.faults)
	}
	var out imported
	if err := v.sendDocument(body, document, &out); err != nil {
		return v.toolFormAgain(data, err, nil)
	}
	data.Outcome = &out
	if !f.Dry { // it is in, and may hold secrets
		data.Import.Text = ""
	}
	data.Import.Format, data.Import.Cursor = body["format"].(string), out.Next
	return v.render(v.newToolView(data))
}

// sendDocument sends a request whose member document is written while it is read.
func (v *visit) sendDocument(body map[string]any, document io.Reader, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var content io.Reader = bytes.NewReader(text)
	if document != nil {
		content = io.MultiReader(bytes.NewReader(text[:len(text)-1]), strings.NewReader(`,"document":"`), &quoting{from: document}, strings.NewReader(`"}`))
	}
	answer, err := v.request(v.ctx, http.MethodPost, "/tools/import", content, http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}})
	if err != nil {
		return unavailable(err)
	}
	said, err := read(answer)
	if err != nil {
		return err
	}
	return decode(said.Data, into)
}

// quoting reads a text as what stands between the quotes of JSON.
type quoting struct {
	from   io.Reader
	buffer [32 << 10]byte
	kept   int // bytes in the buffer, of a character whose end has not been read
	out    []byte
	err    error
}

func (q *quoting) Read(p []byte) (int, error) {
	for len(q.out) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		var read int
		read, q.err = q.from.Read(q.buffer[q.kept:])
		text := q.buffer[:q.kept+read]
		whole := len(text)
		if q.err == nil {
			whole = wholeRunes(text)
		}
		quoted, _ := json.Marshal(string(text[:whole])) // a text can always be written
		q.out = quoted[1 : len(quoted)-1]
		q.kept = copy(q.buffer[:], text[whole:])
	}
	n := copy(p, q.out)
	q.out = q.out[n:]
	return n, nil
}

// wholeRunes is where the last character that is all there ends.
func wholeRunes(text []byte) int {
	for i := len(text) - 1; i >= 0 && i > len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				return len(text)
			}
			return i
		}
	}
	return len(text)
}

// formatOf tells a document's kind by how it begins.
func formatOf(begin string) string {
	trimmed := strings.TrimSpace(begin)
	has := func(name string) bool { return strings.Contains(begin, `"`+name+`"`) }
	switch {
	case !strings.HasPrefix(trimmed, "{"): // YAML
		return "openapi"
	case has("mcpServers"):
		return "mcp-servers"
	case has("openapi"), has("swagger"):
		return "openapi"
	case has("remotes"), has("packages"):
		return "server.json"
	}
	return "mcp-servers"
}

// formatAt tells it by the address.
func formatAt(address string) string {
	_, after, _ := strings.Cut(address, "://")
	_, at, _ := strings.Cut(strings.TrimRight(after, "/"), "/")
	switch {
	case at == "" || strings.HasSuffix(at, "v0.1/servers"):
		return "mcp-registry"
	case strings.HasSuffix(at, "server.json"):
		return "server.json"
	case strings.HasSuffix(at, "mcp.json"):
		return "mcp-servers"
	}
	return "openapi"
}
