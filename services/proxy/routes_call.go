package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
)

// call is POST /proxy/{toolId}/call. It reads and writes JSON itself: arguments
// and results are passed on as they were written.
func (h *Handler) call(c *gin.Context, caller services.Caller) {
	id, err := uuid.Parse(c.Param("toolId"))
	if err != nil || len(c.Param("toolId")) != len("00000000-0000-0000-0000-000000000000") {
		api.Fail(c, services.Faults(services.Fault{Path: "path.toolId", Message: "must be a UUID"}))
		return
	}
	body := bodies.Get().(*[]byte)
	defer keep(body)
	in, err := readCall(c.Request, body)
	if err != nil {
		api.Fail(c, err)
		return
	}
	in.Caller, in.ToolID = caller, id
	answer, err := h.answer(c, in)
	if err != nil {
		wait(c, err)
		api.Fail(c, err)
		return
	}
	defer answer.Close()
	const before, after = `{"success":true,"data":`, `,"untrusted":true}`
	header := c.Writer.Header()
	header["Content-Type"] = jsonType
	if length := len(before) + len(answer.Result) + len(after); length > counted {
		header["Content-Length"] = []string{strconv.Itoa(length)}
	}
	c.Writer.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(c.Writer, before) // whoever left does not mind
	_, _ = c.Writer.Write(answer.Result)
	_, _ = io.WriteString(c.Writer, after)
}

// answer makes the call, or repeats what was answered to the same request before.
func (h *Handler) answer(c *gin.Context, in CallRequest) (answer *upstream.Answer, err error) {
	most, err := mostCredits(c.Request.Header)
	if err != nil {
		return nil, err
	}
	var record *Call
	exchange := Exchange{CallRequest: in, MaxCost: most}
	if keys := c.Request.Header[api.KeyHeader]; len(keys) > 0 {
		var repeated bool
		if answer, record, repeated, err = h.once.Exchange(c.Request.Context(), keys[0], exchange); repeated {
			c.Header(repeatedHeader, "true")
		}
	} else {
		answer, record, err = h.service.Exchange(c.Request.Context(), exchange)
	}
	if record != nil {
		header := c.Writer.Header()
		header[callHeader] = []string{record.ID.String()}
		header[creditsHeader] = []string{strconv.FormatInt(record.Credits, 10)}
	}
	return answer, err
}

// Headers of a call, as net/http spells them. An answer says under which id the call is
// recorded and what this request was charged: nothing, where it repeats another one's.
const (
	callHeader    = "X-Call-Id"
	creditsHeader = "X-Credits"
	mostHeader    = "X-Max-Credits" // of a request: the most that the call may cost
)

func mostCredits(header http.Header) (*int64, error) {
	said := header[mostHeader]
	if len(said) == 0 {
		return nil, nil
	}
	most, err := strconv.ParseInt(said[0], 10, 64)
	if err != nil || most < 0 {
		return nil, services.Faults(services.Fault{Path: "header." + mostHeader, Message: "must be a whole number of credits"})
	}
	return &most, nil
}

// repeatedHeader says that the answer is another request's, as Stripe's interface does.
const repeatedHeader = "Idempotent-Replayed"

// counted is how long an answer may be, in bytes, for net/http to find its length.
const counted = 2048

var jsonType = []string{"application/json; charset=utf-8"}

// wait tells a limited caller when to come back.
func wait(c *gin.Context, err error) {
	var e *services.Error
	if !errors.As(err, &e) {
		return
	}
	if limit, ok := e.Details.(LimitReached); ok {
		c.Header("Retry-After", strconv.Itoa(limit.RetryAfter))
	}
}

// bodies hold requests while they are read and passed on.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

const keptBody = 256 << 10 // bytes

func keep(body *[]byte) {
	if cap(*body) <= keptBody {
		*body = (*body)[:0]
		bodies.Put(body)
	}
}

// readCall reads a request's body. Unknown members are ignored; arguments and
// parameters, which people write for params, are taken for it where it is absent.
func readCall(r *http.Request, into *[]byte) (in CallRequest, err error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return in, services.Errorf(services.Unsupported, "Content-Type must be application/json")
	}
	body, err := readBody(r, into)
	if err != nil {
		return in, err
	}
	if !json.Valid(body) {
		return in, services.Faults(services.Fault{Path: "body", Message: "malformed JSON: " + syntaxOf(body)})
	}
	if !utf8.Valid(body) {
		return in, services.Faults(services.Fault{Path: "body", Message: "malformed JSON: it is not UTF-8"})
	}
	var method, arguments, parameters json.RawMessage
	object := upstream.Members(body, func(key, value []byte) {
		switch string(key) {
		case "method":
			method = value
		case "params":
			in.Params = value
		case "arguments":
			arguments = value
		case "parameters":
			parameters = value
		}
	})
	if !object {
		return in, services.Faults(services.Fault{Path: "body", Message: "must be an object"})
	}
	for _, other := range []json.RawMessage{arguments, parameters} {
		if in.Params == nil {
			in.Params = other
		}
	}
	in.Method, err = readMethod(method)
	return in, err
}

func readMethod(raw json.RawMessage) (method string, err error) {
	if len(raw) == 0 || string(raw) == `""` || string(raw) == "null" {
		return "", missingMethod()
	}
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		method = string(raw[1 : len(raw)-1])
	} else if raw[0] != '"' || json.Unmarshal(raw, &method) != nil {
		return "", services.Faults(services.Fault{Path: "body.method", Message: "must be a text"})
	}
	if utf8.RuneCountInString(method) > longestMethod {
		return "", services.Faults(services.Fault{Path: "body.method", Message: "must have at most 256 characters"})
	}
	return method, nil
}

// missingMethod is in the contract's words.
func missingMethod() error {
	e := services.Faults(services.Fault{Path: "body.method", Message: required})
	e.Message = required
	return e
}

func readBody(r *http.Request, into *[]byte) ([]byte, error) {
	body := *into
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		*into = body
		switch {
		case len(body) > api.MaxJSON:
			return nil, errLarge
		case err == nil:
		case !errors.Is(err, io.EOF):
			return nil, unreadable(err)
		case len(body) == 0:
			return []byte("{}"), nil
		default:
			return body, nil
		}
	}
}

var errLarge = services.Errorf(services.TooLarge, "The body is larger than %d bytes", api.MaxJSON)

func unreadable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return errLarge
	}
	return services.Faults(services.Fault{Path: "body", Message: "cannot be read"})
}

func isJSON(header string) bool {
	kind, _, _ := strings.Cut(header, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "" || kind == "application/json" || strings.HasSuffix(kind, "+json")
}

func syntaxOf(body []byte) string {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err.Error()
	}
	return "it can't be read"
}
