package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"

	crand "crypto/rand"
)

// accounts is how many people use the fleet.
const accounts = 24

// Clients are the people who use a fleet, and what they were told.
type Clients struct {
	base string
	http *http.Client
	keys []string
	tool string

	mu     sync.Mutex
	calls  []string          // texts of calls that were answered as successful
	jobs   map[string]string // of accepted jobs: the text that its step says
	files  map[string]string // of stored files: whose they are
	latest []string          // some jobs' ids and whose they are, to look at
}

// NewClients registers accounts and a tool that costs a credit, which an admin approves.
func NewClients(t testing.TB, base string, tools *Tools) *Clients {
	t.Helper()
	c := &Clients{
		base: base, jobs: map[string]string{}, files: map[string]string{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4000, MaxIdleConns: 4000}},
	}
	t.Cleanup(c.http.CloseIdleConnections)
	must := func(key, path string, body any, status int) map[string]any {
		t.Helper()
		answer, err := c.ask(t.Context(), key, http.MethodPost, path, body, status)
		if err != nil {
			t.Fatalf("fleet: %v", err)
		}
		return answer
	}
	for range accounts {
		made := must("", "/auth/register", map[string]any{"email": strings.ToLower(crand.Text()) + "@example.com"}, http.StatusCreated)
		key, _ := at(made, "data", "user", "apiKey").(string)
		c.keys = append(c.keys, key)
	}
	made := must(c.keys[0], "/tools", map[string]any{"name": "Echo", "gateway_url": tools.URL(), "credit_cost_per_call": 1}, http.StatusCreated)
	c.tool, _ = at(made, "data", "tool_id").(string)
	must(AdminKey, "/tools/"+c.tool+"/approve", map[string]any{}, http.StatusOK)
	return c
}

// Mix is what they do: 40 of 100 times they look something up, 20 they call a tool, 20
// they make a job, 10 they store a file, and 10 they follow a job to its end.
func (c *Clients) Mix() []Operation {
	return []Operation{
		{"look up", 40, c.lookUp}, {"call", 20, c.call}, {"job", 20, c.job}, {"upload", 10, c.upload}, {"follow", 10, c.follow},
	}
}

func (c *Clients) key(r *rand.Rand) string { return c.keys[r.IntN(len(c.keys))] }

func (c *Clients) lookUp(ctx context.Context, r *rand.Rand) error {
	key, path := c.key(r), ""
	switch r.IntN(4) {
	case 0:
		path = "/tools/" + c.tool
	case 1:
		path = "/auth/me"
	case 2:
		path = "/credits/balance"
	default:
		c.mu.Lock()
		if len(c.latest) == 0 {
			path = "/tools"
		} else {
			id, whose, _ := strings.Cut(c.latest[r.IntN(len(c.latest))], " ")
			key, path = whose, "/jobs/"+id
		}
		c.mu.Unlock()
	}
	_, err := c.ask(ctx, key, http.MethodGet, path, nil, http.StatusOK)
	return err
}

func (c *Clients) call(ctx context.Context, r *rand.Rand) error {
	text := "call " + crand.Text()
	answer, err := c.ask(ctx, c.key(r), http.MethodPost, "/proxy/"+c.tool+"/call",
		map[string]any{"method": "echo", "params": map[string]any{"text": text}}, http.StatusOK)
	if err != nil {
		return err
	}
	if said := at(answer, "data", "content", 0, "text"); said != text {
		return fmt.Errorf("the tool said %v", said)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, text)
	return nil
}

func (c *Clients) job(ctx context.Context, r *rand.Rand) error {
	_, err := c.make(ctx, c.key(r))
	return err
}

func (c *Clients) make(ctx context.Context, key string) (id string, err error) {
	text := "job " + crand.Text()
	answer, err := c.ask(ctx, key, http.MethodPost, "/jobs", map[string]any{"workflow_definition": map[string]any{"steps": []any{
		map[string]any{"id": "a", "tool_id": c.tool, "action": "echo", "parameters": map[string]any{"text": text}},
	}}}, http.StatusCreated)
	if err != nil {
		return "", err
	}
	id, _ = at(answer, "data", "job_id").(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[id] = text
	if c.latest = append(c.latest, id+" "+key); len(c.latest) > 200 {
		c.latest = c.latest[100:]
	}
	return id, nil
}

// fileSize is what is uploaded each time, in bytes.
const fileSize = 32 << 10

func (c *Clients) upload(ctx context.Context, r *rand.Rand) error {
	content := make([]byte, fileSize)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "noise.bin")
	if err != nil {
		return err
	}
	_, _ = part.Write(content)
	_ = form.Close()
	key := c.key(r)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/storage/upload", &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	answer, err := c.send(request, key, http.StatusOK, http.StatusCreated)
	if err != nil {
		return err
	}
	id, _ := at(answer, "data", "fileId").(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[id] = key
	return nil
}

// resumptions is how often a stream that was cut may be taken up again.
const resumptions = 3

// follow makes a job and reads what becomes of it until its end. A stream that is cut
// is taken up where it was, which is no failure.
func (c *Clients) follow(ctx context.Context, r *rand.Rand) error {
	key := c.key(r)
	id, err := c.make(ctx, key)
	if err != nil {
		return err
	}
	last := ""
	for range 1 + resumptions {
		var ended bool
		if ended, last, err = c.read(ctx, key, "/jobs/"+id+"/events", last); ended {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the stream was cut more often than it may be")
}

// read reads events until the job's end (ended) or until the stream is cut.
func (c *Clients) read(ctx context.Context, key, path, last string) (ended bool, latest string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return false, last, err
	}
	request.Header.Set("X-API-Key", key)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return false, last, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		return false, last, fmt.Errorf("GET %s: %d %s", "/jobs/…/events", answer.StatusCode, shorten(text))
	}
	lines, about := bufio.NewScanner(answer.Body), ""
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "event":
			about = value
		case "id":
			last = value
		case "data":
			var job struct {
				Status string `json:"status"`
			}
			if about == "job" && json.Unmarshal([]byte(value), &job) == nil && (job.Status == "Success" || job.Status == "Failed" || job.Status == "Cancelled") {
				return true, last, nil
			}
		}
	}
	return false, last, nil
}

func (c *Clients) ask(ctx context.Context, key, method, path string, body any, statuses ...int) (map[string]any, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.send(request, key, statuses...)
}

func (c *Clients) send(request *http.Request, key string, statuses ...int) (map[string]any, error) {
	if key != "" {
		request.Header.Set("X-API-Key", key)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), request.URL.String(), "…"))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	_ = json.Unmarshal(text, &out)
	for _, status := range statuses {
		if answer.StatusCode == status {
			return out, nil
		}
	}
	return out, fmt.Errorf("%s: %d %s", request.Method, answer.StatusCode, shorten(text))
}

func shorten(text []byte) string {
	if len(text) > 200 {
		text = text[:200]
	}
	return string(text)
}

// at finds a value in an answer.
func at(value any, path ...any) any {
	for _, part := range path {
		switch p := part.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[p]
		case int:
			list, _ := value.([]any)
			if p >= len(list) {
				return nil
			}
			value = list[p]
		}
	}
	return value
}
