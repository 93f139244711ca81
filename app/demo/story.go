package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"uaol/app/client"
)

// price is what one call of the demo's tool costs, in credits.
const price = 5

type story struct {
	out         io.Writer
	user, admin client.Client
	email       string // the user's
	session     string // the user's, which may do what no key may
	tools       *toolServer
	toolID      string
}

type step struct {
	ID        string    `json:"id"`
	Action    string    `json:"action"`
	Status    string    `json:"status"`
	Credits   int64     `json:"credits"`
	StartTime time.Time `json:"start_time"`
	EndTime   time.Time `json:"end_time"`
}

func (s *story) tell(ctx context.Context) error {
	if err := s.register(ctx); err != nil {
		return err
	}
	if err := s.offerTool(ctx); err != nil {
		return err
	}
	before, err := s.credits(ctx)
	if err != nil {
		return err
	}
	say(s.out, "\nCredits before: %d", before)
	steps, err := s.runWorkflow(ctx)
	if err != nil {
		return err
	}
	after, err := s.credits(ctx)
	if err != nil {
		return err
	}
	say(s.out, "Credits after:  %d  (%d steps × %d)", after, len(steps), price)
	return s.check(steps, before, after)
}

func (s *story) register(ctx context.Context) error {
	s.email = "ada-" + strings.ToLower(rand.Text()[:6]) + "@demo.example"
	var registered struct {
		Token string `json:"token"`
		User  struct {
			APIKey string `json:"apiKey"`
		} `json:"user"`
	}
	if err := s.user.Do(ctx, "POST", "/auth/register", map[string]string{"email": s.email}, &registered); err != nil {
		return err
	}
	s.user.Key, s.session = registered.User.APIKey, registered.Token
	say(s.out, "\n1. %s registers and gets an API key (%s…)", s.email, s.user.Key[:9])
	return nil
}

func (s *story) offerTool(ctx context.Context) error {
	var tool struct {
		ID     string `json:"tool_id"`
		Status string `json:"status"`
	}
	definition := map[string]any{"name": "Text study", "gateway_url": s.tools.url, "credit_cost_per_call": price}
	if err := s.user.Do(ctx, "POST", "/tools", definition, &tool); err != nil {
		return err
	}
	s.toolID = tool.ID
	say(s.out, "2. registers the MCP server at %s as a tool, %d credits a call: %s", s.tools.url, price, tool.Status)
	early := s.user.Do(ctx, "POST", "/proxy/"+tool.ID+"/call", map[string]any{"method": "fetch_text"}, nil)
	if early == nil {
		return errors.New("the tool could be called before it was approved")
	}
	if err := s.admin.Do(ctx, "POST", "/tools/"+tool.ID+"/approve", nil, nil); err != nil {
		return err
	}
	var methods []struct {
		Name string `json:"name"`
	}
	if err := s.user.Do(ctx, "GET", "/proxy/"+tool.ID+"/tools", nil, &methods); err != nil {
		return err
	}
	var names []string
	for _, m := range methods {
		names = append(names, m.Name)
	}
	say(s.out, "3. an admin approves it; its methods: %s", strings.Join(names, ", "))
	return nil
}

func (s *story) workflow() map[string]any {
	call := func(id, action string, parameters map[string]any) map[string]any {
		return map[string]any{"id": id, "tool_id": s.toolID, "action": action, "parameters": parameters}
	}
	study := map[string]any{"text": "{{fetch.result.content.0.text}}"}
	return map[string]any{"workflow_definition": map[string]any{"steps": []any{
		call("report", "report", map[string]any{
			"title":   "{{title.result.content.0.text}}",
			"words":   "{{words.result.structuredContent}}",
			"letters": "{{letters.result.structuredContent}}",
		}),
		call("words", "count_words", study),
		call("letters", "count_letters", study),
		call("title", "title", study),
		call("fetch", "fetch_text", map[string]any{}),
	}}}
}

// runWorkflow runs the job and prints every step as it begins and ends.
func (s *story) runWorkflow(ctx context.Context) ([]step, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var job struct {
		ID          string          `json:"job_id"`
		Status      string          `json:"status"`
		Error       string          `json:"error_message"`
		FinalOutput json.RawMessage `json:"final_output"`
	}
	say(s.out, "\n4. a workflow: fetch ──▶ words, letters, title side by side ──▶ report")
	begun := time.Now()
	if err := s.user.Do(ctx, "POST", "/jobs", s.workflow(), &job); err != nil {
		return nil, err
	}
	told := map[string]string{}
	for {
		if err := s.user.Do(ctx, "GET", "/jobs/"+job.ID, nil, &job); err != nil {
			return nil, err
		}
		var steps []step
		if err := s.user.Do(ctx, "GET", "/jobs/"+job.ID+"/steps", nil, &steps); err != nil {
			return nil, err
		}
		for _, st := range steps {
			if st.Status == "Pending" || told[st.ID] == st.Status {
				continue
			}
			told[st.ID] = st.Status
			took := ""
			if !st.EndTime.IsZero() {
				took = fmt.Sprintf("after %d ms", st.EndTime.Sub(st.StartTime).Milliseconds())
			}
			say(s.out, "   %7s  %-8s %-8s %s", since(begun), st.ID, st.Status, took)
		}
		switch job.Status {
		case "Success":
			return steps, s.printResult(job.FinalOutput, begun)
		case "Failed", "Cancelled":
			return nil, fmt.Errorf("the job ended as %s: %s", job.Status, job.Error)
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("the job did not end within a minute")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *story) printResult(output json.RawMessage, begun time.Time) error {
	var results map[string]struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if err := json.Unmarshal(output, &results); err != nil {
		return err
	}
	last := results["report"].Content
	if len(last) == 0 {
		return errors.New("the stored result has no report")
	}
	say(s.out, "\nFinal output after %s: %s\n", since(begun), last[0].Text)
	if want := report(title(text), words(text), letters(text)); last[0].Text != want {
		return fmt.Errorf("the report should read %q", want)
	}
	return nil
}

func (s *story) credits(ctx context.Context) (int64, error) {
	var balance struct {
		Credits string `json:"credits"`
	}
	if err := s.user.Do(ctx, "GET", "/credits/balance", nil, &balance); err != nil {
		return 0, err
	}
	return strconv.ParseInt(balance.Credits, 10, 64)
}

// check holds the story against what happened.
func (s *story) check(steps []step, before, after int64) error {
	byID := map[string]step{}
	for _, st := range steps {
		byID[st.ID] = st
	}
	middle := []step{byID["words"], byID["letters"], byID["title"]}
	for _, st := range middle {
		if st.StartTime.Before(byID["fetch"].EndTime) || byID["report"].StartTime.Before(st.EndTime) {
			return fmt.Errorf("step %s ran out of order", st.ID)
		}
		for _, other := range middle {
			if !st.StartTime.Before(other.EndTime) {
				return fmt.Errorf("steps %s and %s did not run side by side", st.ID, other.ID)
			}
		}
	}
	if calls := s.tools.calls.Load(); calls != int64(len(steps)) {
		return fmt.Errorf("the tool was called %d times for %d steps", calls, len(steps))
	}
	if spent := before - after; spent != price*int64(len(steps)) {
		return fmt.Errorf("%d credits were charged, %d are right", spent, price*len(steps))
	}
	return nil
}

// next prints what to try against the server that stays up.
func (s *story) next(ctx context.Context, base string) error {
	var links [2]struct {
		URL string `json:"url"`
	}
	signedIn := s.user
	signedIn.Key, signedIn.Token = "", s.session
	for i, who := range []client.Client{signedIn, s.admin} {
		if err := who.Do(ctx, "POST", "/auth/links", nil, &links[i]); err != nil {
			return err
		}
	}
	say(s.out, `
The server stays up until Ctrl-C. Try next:

  open %[5]s
       to sign in to the console as %[6]s (once, within 10 minutes)
  open %[7]s
       to sign in as the admin

  curl -s %[1]s/auth/me -H 'X-API-Key: %[2]s'
  curl -s %[1]s/proxy/%[3]s/call -H 'X-API-Key: %[2]s' \
       -H 'Content-Type: application/json' -d '{"method":"count_words","params":{"text":"one two three"}}'

  the admin's key: %[4]s`, base, s.user.Key, s.toolID, s.admin.Key, links[0].URL, s.email, links[1].URL)
	return nil
}
