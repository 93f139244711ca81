package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// follower reads what becomes of jobs.
type follower struct {
	*client
	silence         time.Duration // after which nobody is there: the server says something every 15 s
	firstTry, later time.Duration // pauses between connections
	away            time.Duration // how long a server may stay away
}

func newFollower(c *client) follower {
	return follower{client: c, silence: 45 * time.Second, firstTry: 200 * time.Millisecond, later: 5 * time.Second, away: time.Minute}
}

// jobEvent is something new about a job: a step's state or the job's own.
type jobEvent struct {
	step *step
	job  *job
	raw  json.RawMessage // the job's state as it came
}

// follow tells of all that becomes of a job until its end, over as many
// connections as that takes: each goes on after the last event that was heard.
func (f follower) follow(ctx context.Context, id string, tell func(jobEvent)) (end jobEvent, err error) {
	heard, pause, gone := "", f.firstTry, time.Time{}
	for {
		begun, before := time.Now(), heard
		end, err := f.listen(ctx, id, &heard, tell)
		switch {
		case err == nil && end.job != nil:
			return end, nil
		case ctx.Err() != nil:
			return end, errors.New("interrupted; the job goes on")
		case refusedForGood(err):
			return end, err
		}
		if heard != before || time.Since(begun) > f.later || gone.IsZero() { // a proxy may end it every minute
			pause, gone = f.firstTry, time.Now()
		}
		if time.Since(gone) > f.away {
			if err == nil {
				err = fmt.Errorf("%s ends the connection again and again", f.base)
			}
			return end, fmt.Errorf("%w; the job goes on", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, f.later)
	}
}

// refusedForGood reports whether asking again brings the same answer.
func refusedForGood(err error) bool {
	status := statusOf(err)
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

// listen reads events over one connection. It gives the job's state when that is
// its end, and nothing when the connection ended before.
func (f follower) listen(ctx context.Context, id string, heard *string, tell func(jobEvent)) (end jobEvent, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(f.silence, cancel)
	defer quiet.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+jobPath(id)+"/events", nil)
	if err != nil {
		return end, err
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("X-API-Key", f.key)
	if *heard != "" {
		request.Header.Set("Last-Event-ID", *heard)
	}
	response, err := f.http.Do(request)
	if err != nil {
		return end, fmt.Errorf("no answer from %s", f.base)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, mostFile))
		if err != nil {
			return end, fmt.Errorf("no answer from %s", f.base)
		}
		_, err = f.read(response.StatusCode, body, nil)
		return end, err
	}
	lines := bufio.NewReader(response.Body)
	var kind, seq string
	var data []byte
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return end, nil // cut in the middle of an event: it comes again
		}
		quiet.Reset(f.silence)
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(name) > 0:
			switch string(name) {
			case "event":
				kind = string(value)
			case "id":
				seq = string(value)
			case "data":
				data = append(append(data, value...), '\n')
			}
			continue
		case len(bytes.TrimSpace(line)) > 0, len(data) == 0: // a sign of life, or nothing
			continue
		}
		event, err := readEvent(kind, data)
		if err != nil {
			return end, err
		}
		if seq != "" {
			*heard = seq
		}
		tell(event)
		if event.job != nil && ended(event.job.Status) {
			return event, nil
		}
		kind, seq, data = "", "", nil
	}
}

func readEvent(kind string, data []byte) (event jobEvent, err error) {
	switch kind {
	case "step":
		event.step = &step{}
		err = json.Unmarshal(data, event.step)
	case "job":
		event.job, event.raw = &job{}, bytes.TrimSpace(data)
		err = json.Unmarshal(data, event.job)
	}
	if err != nil {
		err = errors.New("the server tells of the job in a way that can't be read")
	}
	return event, err
}
