package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"uaol/providers/api"
	"uaol/services"
)

// visit is one request of a browser's, and who makes it.
type visit struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // of what is asked of the API
	session session
	who     who    // nobody on pages for everybody
	seed    string // of the keys of the forms that it is shown
	nearest string // the page above an address that is none
	heard   *heard // what the API said, of a page that is live
}

// maxAnswer is the most that is read of an answer of the API for a page, in bytes.
const maxAnswer = 16 << 20

// request is one of the API, with the visitor's own credentials.
func (v *visit) request(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+v.r.Host+path, body)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr, r.TLS = v.r.RemoteAddr, v.r.TLS
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", v.r.UserAgent())
	r.Header.Set(api.RequestHeader, services.RequestID(v.r.Context()))
	switch {
	case v.session.token != "":
		r.Header.Set("Authorization", "Bearer "+v.session.token)
	case v.session.guest != "":
		r.Header.Set(api.GuestHeader, v.session.guest)
	}
	if v.session.organization != "" && v.session.token != "" {
		r.Header.Set("X-Organization", v.session.organization)
	}
	return v.console.api.Do(r)
}

// reply is the API's envelope.
type reply struct {
	Data    json.RawMessage `json:"data"`
	Next    string          `json:"nextCursor"`
	Message string          `json:"message"`
}

func (v *visit) ask(ctx context.Context, method, path string, body any) (reply, error) {
	var content io.Reader
	header := http.Header{"Accept": {"application/json"}}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		content = bytes.NewReader(text)
		header.Set("Content-Type", "application/json")
	}
	if key := v.form("once"); key != "" && method == http.MethodPost {
		header.Set(api.KeyHeader, key) // the form's own: sent twice, it does one thing
	}
	answer, err := v.request(ctx, method, path, content, header)
	if err != nil {
		return reply{}, unavailable(err)
	}
	said, err := read(answer)
	v.heard.note(path, said, err)
	return said, err
}

func unavailable(err error) error {
	return services.Errorf(services.Unavailable, "The server gave no answer").Because(err)
}

func read(answer *http.Response) (reply, error) {
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return reply{}, unavailable(err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		err := api.ReadError(answer.StatusCode, text)
		if after, numberErr := strconv.Atoi(answer.Header.Get("Retry-After")); numberErr == nil {
			err = againIn(err, after)
		}
		return reply{}, ofThePage(err)
	}
	var said reply
	if len(text) > 0 {
		if err := json.Unmarshal(text, &said); err != nil {
			return reply{}, services.Errorf(services.Internal, "The server's answer can't be read").Because(err)
		}
	}
	return said, nil
}

// againIn lets an error know what only a header has said: in how many seconds to try again.
func againIn(err error, seconds int) error {
	if e, ok := services.AsError(err); ok && e.Kind == services.Limited && e.Details == nil {
		return e.WithDetails(map[string]int{"retryAfterSeconds": seconds})
	}
	return err
}

// ofThePage says in a page's words what the API says of its own address: an id that is
// none is a page that is not there.
func ofThePage(err error) error {
	for path := range faultsOf(err) {
		if strings.HasPrefix(path, "path.") {
			return services.Errorf(services.NotFound, "There is nothing at this address").Because(err)
		}
	}
	return err
}

// get asks for one thing.
func (v *visit) get(path string, into any) error {
	_, err := v.list(path, into)
	return err
}

// list asks for a list, and gives the cursor of what follows.
func (v *visit) list(path string, into any) (next string, err error) {
	said, err := v.ask(v.ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	return said.Next, decode(said.Data, into)
}

// send does something; into may be nil.
func (v *visit) send(method, path string, body, into any) error {
	said, err := v.ask(v.ctx, method, path, body)
	if err != nil || into == nil {
		return err
	}
	return decode(said.Data, into)
}

func decode(text json.RawMessage, into any) error {
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return services.Errorf(services.Internal, "The server's answer is not what this page knows").Because(err)
	}
	return nil
}

// path builds a path of the API of its parts, each escaped, and of a query.
func path(query url.Values, parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + url.PathEscape(part))
	}
	if encoded := query.Encode(); encoded != "" {
		b.WriteString("?" + encoded)
	}
	return b.String()
}

// some makes a query of those names and values that say something.
func some(pairs ...string) url.Values {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}

// asked is what the address says.
func (v *visit) asked(name string) string { return v.r.URL.Query().Get(name) }

// form is what a field of the form that was sent says.
func (v *visit) form(name string) string { return v.r.PostForm.Get(name) }

// number reads a whole number of a form; a fault names the field.
func (v *visit) number(name string) (int64, error) {
	text := strings.ReplaceAll(strings.TrimSpace(v.form(name)), ",", "")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, services.Faults(services.Fault{Path: "body." + name, Message: "must be a whole number"})
	}
	return n, nil
}

// to sends the browser on, with something to say there.
func (v *visit) to(page, said string) error {
	if said != "" {
		v.console.say(v.w, v.r, said)
	}
	if v.r.Header.Get("HX-Request") != "" { // htmx would put the page into the place of a part
		v.w.Header().Set("HX-Redirect", page)
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(v.w, v.r, page, http.StatusSeeOther)
	return nil
}

// isKind reports whether an error is of one of the kinds; nil is of none.
func isKind(err error, kinds ...services.Kind) bool {
	for _, kind := range kinds {
		if services.Is(err, kind) {
			return true
		}
	}
	return false
}

// faultsOf lists what an error says of the fields of a form, by their paths.
func faultsOf(err error) map[string]string {
	var e *services.Error
	if !errors.As(err, &e) {
		return nil
	}
	text, marshalErr := json.Marshal(e.Details)
	var faults []services.Fault
	if marshalErr != nil || json.Unmarshal(text, &faults) != nil {
		return nil
	}
	found := make(map[string]string, len(faults))
	for _, f := range faults {
		found[f.Path] = inWords(f.Message)
	}
	return found
}

// json reads a field that holds JSON; nil when it is empty. A fault says where it is wrong.
func (v *visit) json(name string) (json.RawMessage, error) {
	text := strings.TrimSpace(v.form(name))
	if text == "" {
		return nil, nil
	}
	if fault := jsonFault(text); fault != "" {
		return nil, services.Faults(services.Fault{Path: "body." + name, Message: fault})
	}
	return json.RawMessage(text), nil
}

// jsonFault says where a text is no JSON; "" when it is.
func jsonFault(text string) string {
	var value any
	err := json.Unmarshal([]byte(text), &value)
	if err == nil {
		return ""
	}
	at := len(text)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = int(min(syntax.Offset, int64(len(text))))
	}
	before := text[:at]
	line, column := 1+strings.Count(before, "\n"), at-strings.LastIndex(before, "\n")-1
	return "is not JSON: " + strings.TrimPrefix(err.Error(), "json: ") + ", at line " + strconv.Itoa(line) + ", column " + strconv.Itoa(max(column, 1))
}

func badForm(err error) error {
	return services.Errorf(services.Invalid, "The form can't be read").Because(err)
}
