package acceptance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/services"
)

// TestRollingRestart restarts every process of two of each service under load, and
// nothing fails: the client repeats nothing, but for a stream of events, which it
// takes up again where it ended. What was acknowledged is done, once.
func TestRollingRestart(t *testing.T) {
	tools := world.StartTools(t, "127.0.0.1")
	fleet := world.StartFleet(t, world.Settings{"TOOL_EGRESS_ALLOW": tools.Host(), "LOG_LEVEL": "error",
		"UAOL_DRAIN_DELAY": "2s", "UAOL_DRAIN_TIMEOUT": "50s"}, 2) // a busy machine's requests take their time
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(fleet.Log.String())
		}
	})
	s := &suite{world: fleet.World, tools: tools}
	ada := s.user(t)
	tool := s.tool(t, ada, "/mcp", 1)
	l := newLoad(t, fleet.Gateways, ada.Header)
	called := tools.Calls.Load()

	var jobs sync.Map
	var calls atomic.Int64
	echo := object{"method": "echo", "params": object{"text": "hello"}}
	l.every(40*time.Millisecond, "look-up", func() error {
		_, err := l.send(http.MethodGet, "/tools/"+tool, "", nil, http.StatusOK)
		return err
	})
	l.every(100*time.Millisecond, "call", func() error {
		_, err := l.json("/proxy/"+tool+"/call", echo, http.StatusOK)
		calls.Add(1)
		return err
	})
	l.every(200*time.Millisecond, "job", func() error {
		answer, err := l.json("/jobs", workflow(step("a", tool, "echo", object{"text": "hello"})), http.StatusCreated)
		jobs.Store(answer.Text("data.job_id"), true)
		return err
	})
	content := make([]byte, 256<<10)
	_, _ = rand.Read(content)
	l.every(time.Second, "upload", func() error { return l.upload(content) })

	long, err := l.json("/jobs", workflow(sleeps(400, "250ms")...), http.StatusCreated)
	require.NoError(t, err)
	id := long.Text("data.job_id")
	heard := l.follow(id)

	// Two at a time, of different services: each waits for its own drain.
	var group sync.WaitGroup
	for _, lane := range [][]services.Name{{services.Gateway, services.Jobs, services.Billing, services.Storage}, {services.Proxy, services.Auth, services.Registry}} {
		group.Go(func() {
			for _, p := range fleet.Processes {
				if slices.Contains(lane, p.Service) {
					begun := time.Now()
					stopped, err := p.Restart()
					if err != nil {
						t.Errorf("%s: %v", p.Service, err)
						return
					}
					started := time.Since(begun) - stopped
					l.wait(p.URL)
					t.Logf("%s: stopped in %v, started in %v, ready after %v", p.Service, stopped.Round(time.Millisecond), started.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
				}
			}
		})
	}
	group.Wait()
	_, err = l.json("/jobs/"+id+"/cancel", object{}, http.StatusOK)
	require.NoError(t, err)
	l.end(t)

	steps := <-heard
	require.Equal(t, "Cancelled", ended(t, ada, id).Text("data.status"))
	slept := ada.Do(t, http.MethodGet, "/jobs/"+id+"/steps?limit=200", nil)
	done, _ := slept.At("data").([]any)
	require.NotEmpty(t, done, slept)
	for i := range done {
		if at := fmt.Sprintf("data.%d.", i); slept.Text(at+"status") == "Success" {
			require.Contains(t, steps, slept.Text(at+"id"), "the step was told")
		}
	}
	n := int64(0)
	jobs.Range(func(job, _ any) bool {
		n++
		end := ended(t, ada, job.(string))
		require.Equal(t, "Success", end.Text("data.status"), end)
		return true
	})
	require.Equal(t, calls.Load()+n, tools.Calls.Load()-called, "each call was made once")
	t.Logf("%d calls, %d jobs, %d steps of one heard", calls.Load(), n, len(steps))
}

// sleeps are steps one after the other.
func sleeps(n int, each string) (steps []object) {
	for i := range n {
		sleep := object{"id": fmt.Sprintf("s%d", i), "kind": "sleep", "duration": each}
		if i > 0 {
			sleep["depends_on"] = []string{fmt.Sprintf("s%d", i-1)}
		}
		steps = append(steps, sleep)
	}
	return steps
}

// load sends requests to those of several gateways that are ready, in turn, as a
// balancer does: it asks for /readyz every 200 ms and keeps idle connections for
// half a second. What fails is noted and not repeated.
type load struct {
	gateways []string
	header   http.Header
	http     *http.Client
	next     atomic.Uint64
	ctx      context.Context
	stop     context.CancelFunc
	group    sync.WaitGroup

	mu      sync.Mutex
	ready   []string
	sent    map[string]int
	longest map[string]time.Duration
	rounds  int // of asking for /readyz
	fails   []string
}

func newLoad(t *testing.T, gateways []string, header http.Header) *load {
	l := &load{gateways: gateways, ready: gateways, header: header, sent: map[string]int{}, longest: map[string]time.Duration{}, http: &http.Client{
		Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 500 * time.Millisecond},
	}}
	l.ctx, l.stop = context.WithCancel(t.Context())
	l.group.Go(func() {
		for range l.ticks(200 * time.Millisecond) {
			var ready []string
			for _, url := range gateways {
				if l.isReady(url) {
					ready = append(ready, url)
				}
			}
			l.mu.Lock()
			if l.rounds++; len(ready) > 0 { // else it goes on with those it had
				l.ready = ready
			}
			l.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		l.stop()
		l.group.Wait()
		l.http.CloseIdleConnections()
	})
	return l
}

func (l *load) isReady(url string) bool {
	request, err := http.NewRequestWithContext(l.ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := l.http.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// wait waits until a process is ready and the balancer has asked after that.
func (l *load) wait(url string) {
	ready, since := false, 0
	for range l.ticks(20 * time.Millisecond) {
		l.mu.Lock()
		rounds := l.rounds
		l.mu.Unlock()
		if !ready {
			ready, since = l.isReady(url), rounds
		} else if rounds > since+1 {
			return
		}
	}
}

func (l *load) ticks(pause time.Duration) func(func(int) bool) {
	return func(yield func(int) bool) {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.ctx.Done():
				return
			case <-ticker.C:
				if !yield(i) {
					return
				}
			}
		}
	}
}

// every does something at a steady pace; on a machine that is too busy for it, as
// often as it can with two at a time.
func (l *load) every(pause time.Duration, what string, do func() error) {
	room := make(chan struct{}, 2)
	l.group.Go(func() {
		for range l.ticks(pause) {
			room <- struct{}{}
			l.group.Go(func() {
				begun := time.Now()
				err := do()
				l.note(what, time.Since(begun), err)
				<-room
			})
		}
	})
}

func (l *load) note(what string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[what]++
	l.longest[what] = max(l.longest[what], took)
	if err != nil {
		l.fails = append(l.fails, time.Now().Format("05.000 ")+what+": "+err.Error())
	}
}

// end stops the load and tells what failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.group.Wait()
	t.Logf("sent: %v, longest: %v", l.sent, l.longest)
	require.Empty(t, l.fails)
	for _, n := range l.sent {
		require.Positive(t, n)
	}
}

// open sends a request and gives the answer as it begins. It outlives the load's end.
func (l *load) open(method, path, kind string, body io.Reader, header ...string) (*http.Response, error) {
	l.mu.Lock()
	ready := l.ready
	l.mu.Unlock()
	to := ready[l.next.Add(1)%uint64(len(ready))]
	request, err := http.NewRequestWithContext(context.WithoutCancel(l.ctx), method, to+path, body)
	if err != nil {
		return nil, err
	}
	request.Header = l.header.Clone()
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return l.http.Do(request)
}

func (l *load) send(method, path, kind string, body io.Reader, status int) (world.Answer, error) {
	response, err := l.open(method, path, kind, body)
	if err != nil {
		return world.Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	answer := world.Answer{Status: response.StatusCode, Header: response.Header, Body: text}
	if err == nil && answer.Status != status {
		err = fmt.Errorf("%v", answer)
	}
	return answer, err
}

func (l *load) json(path string, body any, status int) (world.Answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return world.Answer{}, err
	}
	return l.send(http.MethodPost, path, "application/json", bytes.NewReader(text), status)
}

// upload stores a file, its body sent in chunks, and reads it again.
func (l *load) upload(content []byte) error {
	body, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("file", "a.bin")
		if err == nil {
			_, err = part.Write(content)
		}
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	answer, err := l.send(http.MethodPost, "/storage/upload", form.FormDataContentType(), body, http.StatusOK)
	if err != nil {
		return err
	}
	again, err := l.send(http.MethodGet, answer.Text("data.url"), "", nil, http.StatusOK)
	if err == nil && !bytes.Equal(again.Body, content) {
		err = fmt.Errorf("another content of %d bytes", len(again.Body))
	}
	return err
}

// follow hears a job's events until its end, from as many connections as it takes,
// and gives the steps that it heard to have succeeded.
func (l *load) follow(job string) <-chan map[string]bool {
	told := make(chan map[string]bool, 1)
	l.group.Go(func() {
		steps, last, over := map[string]bool{}, "", false
		for !over {
			response, err := l.open(http.MethodGet, "/jobs/"+job+"/events", "", nil, "Last-Event-ID", last)
			if err == nil && response.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d", response.StatusCode)
				_ = response.Body.Close()
			}
			if l.note("stream", 0, err); err != nil {
				break
			}
			last, over, err = hear(response.Body, last, steps)
			_ = response.Body.Close()
			l.note("stream", 0, err)
		}
		told <- steps
	})
	return told
}

// hear reads a stream to its end; one that is cut off is an error.
func hear(body io.Reader, last string, steps map[string]bool) (id string, over bool, err error) {
	lines := bufio.NewScanner(body)
	for id = last; lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			var event struct {
				ID, Status string
				JobID      string  `json:"job_id"`
				End        *string `json:"end_time"`
			}
			if err := json.Unmarshal([]byte(value), &event); err != nil {
				return id, false, err
			}
			switch {
			case event.JobID != "":
				over = event.End != nil
			case event.Status == "Success":
				steps[event.ID] = true
			}
		}
	}
	return id, over, lines.Err()
}
