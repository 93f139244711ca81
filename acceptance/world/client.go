package world

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// HTTP is what all Clients send with; it follows no redirects.
var HTTP = &http.Client{
	Timeout:       3 * time.Minute, // what reads documents is slow under the race detector
	Transport:     &http.Transport{MaxIdleConnsPerHost: 32},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Client sends requests to one address, with the same headers each.
type Client struct {
	Base   string
	Header http.Header
}

// New is a Client without credentials.
func New(base string) Client {
	return Client{Base: strings.TrimRight(base, "/"), Header: http.Header{}}
}

// With is the Client with one more header; an empty value takes it away.
func (c Client) With(name, value string) Client {
	c.Header = c.Header.Clone()
	if value == "" {
		c.Header.Del(name)
	} else {
		c.Header.Set(name, value)
	}
	return c
}

// As is the Client with somebody's token or API key.
func (c Client) As(token string) Client { return c.With("Authorization", "Bearer "+token) }

// Guest is the Client with a guest's session.
func (c Client) Guest(id string) Client { return c.With("X-Guest-Id", id) }

// Raw is a body that is sent as it is.
type Raw string

// Do sends a request. A body that is not Raw is sent as JSON; nil sends none.
func (c Client) Do(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	answer, err := c.Try(t, method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// Try is Do for goroutines, which must not end the test.
func (c Client) Try(t testing.TB, method, path string, body any) (Answer, error) {
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case Raw:
		content = strings.NewReader(string(b))
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.Base+path, content)
	if err != nil {
		return Answer{}, err
	}
	request.Header = c.Header.Clone()
	if body != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := HTTP.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return Answer{Status: response.StatusCode, Header: response.Header, Body: text}, err
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// At finds a value in the JSON body by a path such as "data.steps.0.id"; nil
// when there is none.
func (a Answer) At(path string) any {
	decoder := json.NewDecoder(bytes.NewReader(a.Body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil
	}
	for _, part := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// Text is At for texts; "" when there is none.
func (a Answer) Text(path string) string {
	text, _ := a.At(path).(string)
	return text
}

func (a Answer) String() string { return strconv.Itoa(a.Status) + " " + string(a.Body) }
