package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// client speaks to a server as any other client does.
type client struct {
	base   string
	key    string
	host   string      // that the server is called by, if not as base has it
	header http.Header // of every request, besides the usual ones
	http   http.Client
}

// apiError is a server's refusal.
type apiError struct {
	Status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Path    string `json:"path"`
		Message string `json:"message"`
	} `json:"-"`
}

func (e *apiError) Error() string { return e.Message }

// at reports whether something is wrong with the input at a path.
func (e *apiError) at(path string) bool {
	for _, fault := range e.Details {
		if strings.HasPrefix(fault.Path, path) {
			return true
		}
	}
	return false
}

func statusOf(err error) int {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}

const patience = 10 // times that a command waits because it has asked too often

// do sends a request and reads the answer's data into out, unless that is nil.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	_, err := c.page(ctx, method, path, in, out)
	return err
}

// page is do for lists: it gives the cursor of what follows.
func (c *client) page(ctx context.Context, method, path string, in, out any) (next string, err error) {
	for try := 0; ; try++ {
		status, header, body, err := c.send(ctx, method, path, in)
		if err != nil {
			return "", err
		}
		if status == http.StatusTooManyRequests && try < patience {
			if err := pauseFor(ctx, header.Get("Retry-After")); err != nil {
				return "", err
			}
			continue
		}
		return c.read(status, body, out)
	}
}

// several gives as many of a list as are wanted, as they are and as they are shown.
func several[T any](ctx context.Context, c *client, path string, query url.Values, most int) (raw []json.RawMessage, all []T, err error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(min(most, 200)))
	for {
		var part []json.RawMessage
		next, err := c.page(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &part)
		if err != nil {
			return nil, nil, err
		}
		for _, text := range part {
			var one T
			if err := json.Unmarshal(text, &one); err != nil {
				return nil, nil, err
			}
			raw, all = append(raw, text), append(all, one)
		}
		if next == "" || len(all) >= most {
			n := min(len(all), most)
			return raw[:n], all[:n], nil
		}
		query.Set("cursor", next)
	}
}

func (c *client) send(ctx context.Context, method, path string, in any) (int, http.Header, []byte, error) {
	var payload io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return 0, nil, nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	if c.key != "" {
		request.Header.Set("X-API-Key", c.key)
	}
	if c.host != "" {
		request.Host = c.host
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, nil, errors.New("interrupted")
		}
		return 0, nil, nil, fmt.Errorf("no answer from %s", c.base)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err
}

func (c *client) read(status int, body []byte, out any) (next string, err error) {
	var envelope struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Next    string          `json:"nextCursor"`
		Error   *struct {
			apiError
			Details json.RawMessage `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &envelope) != nil || (!envelope.Success && envelope.Error == nil) {
		return "", fmt.Errorf("%s is not a UAOL server: it answers with status %d", c.base, status)
	}
	if refusal := envelope.Error; refusal != nil {
		refused := refusal.apiError
		refused.Status = status
		_ = json.Unmarshal(refusal.Details, &refused.Details) // some have details of another form
		if status == http.StatusUnauthorized {
			refused.Message += " (" + c.base + " does not know the API key; set UAOL_API_KEY)"
		}
		return "", &refused
	}
	if out == nil {
		return envelope.Next, nil
	}
	return envelope.Next, json.Unmarshal(envelope.Data, out)
}

func pauseFor(ctx context.Context, header string) error {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 1 {
		seconds = 1
	}
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-time.After(time.Duration(min(seconds, 60)) * time.Second):
		return nil
	}
}

// tool is a tool as the server shows it.
type tool struct {
	ID          string           `json:"tool_id"`
	Slug        string           `json:"slug"`
	Name        string           `json:"name"`
	Description string           `json:"description"`
	URL         string           `json:"gateway_url"`
	Protocol    string           `json:"protocol"`
	Price       int64            `json:"credit_cost_per_call"`
	Prices      map[string]int64 `json:"method_costs"`
	Visibility  string           `json:"visibility"`
	Status      string           `json:"status"`
	Version     int64            `json:"version"`
	Pending     *int64           `json:"pending_version"`
	Tags        []string         `json:"tags"`
	Docs        string           `json:"documentation_url"`
	Egress      []string         `json:"egress"`
	Command     *command         `json:"command"`
	Methods     []method         `json:"methods"`
	Health      struct {
		Status    string `json:"status"`
		LatencyMS int64  `json:"latency_ms"`
		LastError string `json:"last_error"`
	} `json:"health"`
}

type command struct {
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"`
}

type method struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"inputSchema"`
	Digest      string          `json:"digest"`
	Difference  string          `json:"difference"`
	Flags       []struct {
		Path string `json:"path"`
		What string `json:"what"`
	} `json:"flags"`
}

// price is what a call of a method costs.
func (t tool) price(method string) int64 {
	if price, ok := t.Prices[method]; ok {
		return price
	}
	return t.Price
}

// tools gives all of a list, or as many as are wanted.
func (c *client) tools(ctx context.Context, path string, query url.Values, most int) ([]tool, error) {
	_, all, err := several[tool](ctx, c, path, query, most)
	return all, err
}

// mostLooked bounds how many tools a command looks through for one of them.
const mostLooked = 2000

// find gives a tool by its id or slug, in any status that the caller may see.
func (c *client) find(ctx context.Context, name string) (tool, error) {
	var found tool
	if looksLikeID(name) {
		return found, c.do(ctx, http.MethodGet, "/tools/"+name, nil, &found)
	}
	for _, status := range []string{"Approved", "Pending", "Rejected", "Disabled"} {
		tools, err := c.tools(ctx, "/tools", url.Values{"q": {name}, "status": {status}}, mostLooked)
		if err != nil {
			return found, err
		}
		for _, t := range tools {
			if t.Slug == name {
				return found, c.do(ctx, http.MethodGet, "/tools/"+t.ID, nil, &found)
			}
		}
	}
	return found, absentError(fmt.Sprintf("there is no tool %s; `uaol tools list` shows those there are", name))
}

// absentError says that what was named is not there.
type absentError string

func (e absentError) Error() string { return string(e) }

// isAbsent reports whether a server has said that what was named is not there.
func isAbsent(err error) bool {
	var absent absentError
	return errors.As(err, &absent) || statusOf(err) == http.StatusNotFound
}

// hasProfile says who it is that has no profile of a name.
func (c *client) hasProfile(ctx context.Context, name string) error {
	err := c.do(ctx, http.MethodGet, "/profiles/"+url.PathEscape(name), nil, nil)
	if !isAbsent(err) {
		return err
	}
	var me struct {
		Email string `json:"email"`
	}
	if c.do(ctx, http.MethodGet, "/auth/me", nil, &me) != nil || me.Email == "" {
		me.Email = "whose key this is"
	}
	return absentError(fmt.Sprintf("%s has no profile %s; set UAOL_API_KEY to a key of the account that made it", me.Email, name))
}

// steady is a client whose key goes to this server alone, wherever that sends it.
func (c *client) steady() *client {
	own := *c
	own.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// waiting is the admins' queue.
func (c *client) waiting(ctx context.Context) (tools []tool, err error) {
	cursor := ""
	for {
		var part []struct {
			Tool tool `json:"tool"`
		}
		next, err := c.page(ctx, http.MethodGet, "/tools/review?limit=200&cursor="+url.QueryEscape(cursor), nil, &part)
		if err != nil {
			return nil, err
		}
		for _, review := range part {
			tools = append(tools, review.Tool)
		}
		if cursor = next; cursor == "" {
			return tools, nil
		}
	}
}

func looksLikeID(name string) bool {
	return len(name) == 36 && strings.Count(name, "-") == 4
}
