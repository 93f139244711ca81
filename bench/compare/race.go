package compare

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// entrant is one in the race: a side, in a revision of the protocol.
type entrant struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Protocol string `json:"protocol"`
	Tool     string `json:"tool"` // what it calls the tool
	running  running
	ours     bool
}

// Turn is what came of an entrant's calls in one turn.
type Turn struct {
	Took   float64  `json:"seconds"`
	Calls  []int64  `json:"microseconds"` // of each call that was answered rightly
	Errors int      `json:"errors"`
	Used   float64  `json:"processorSeconds"` // of the entrant's processes
	Faults []string `json:"faults,omitempty"` // the first few
}

// Lane is an entrant at one number of connections.
type Lane struct {
	entrant
	Connections int    `json:"connections"`
	Turns       []Turn `json:"turns"`
}

// patience is how long somebody waits for an answer.
const patience = 30 * time.Second

// enter finds out how a side is spoken to: in that revision, or in the newest of its own.
func enter(ctx context.Context, s side, r running, revision string) (entrant, error) {
	h := &http.Client{Timeout: patience}
	defer h.CloseIdleConnections()
	c := newClient(r.endpoint, r.header, h)
	if err := c.agree(ctx, revision); err != nil {
		return entrant{}, err
	}
	defer c.end(ctx)
	names, err := c.list(ctx, "tools")
	if err != nil {
		return entrant{}, err
	}
	name, _, there := given(names, "echo")
	if !there {
		return entrant{}, fmt.Errorf("it has %v and not the tool", names)
	}
	return entrant{Name: s.name, Version: s.version, Protocol: c.version, Tool: name, running: r, ours: s.ours}, nil
}

// race lets all entrants take turns at so many connections.
func race(t testing.TB, entrants []entrant, connections, rounds int, long time.Duration) (lanes []Lane) {
	t.Helper()
	crews := make([]*crew, len(entrants))
	for i, e := range entrants {
		crews[i] = newCrew(e, connections)
		defer crews[i].leave()
		lanes = append(lanes, Lane{entrant: e, Connections: connections})
		crews[i].turn(t, long/2) // what is made once is made here
	}
	for range rounds {
		for i := range crews {
			lanes[i].Turns = append(lanes[i].Turns, crews[i].turn(t, long))
		}
	}
	return lanes
}

// crew are an entrant's clients, each with a connection and a session of its own.
type crew struct {
	entrant
	clients []*client
}

func newCrew(e entrant, connections int) *crew {
	c := &crew{entrant: e}
	for range connections {
		h := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}
		c.clients = append(c.clients, newClient(e.running.endpoint, e.running.header, h))
	}
	return c
}

func (c *crew) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, one := range c.clients {
		one.end(ctx)
		one.http.CloseIdleConnections()
	}
}

// mostFaults that are kept of a turn.
const mostFaults = 3

// turn lets all clients call for so long.
func (c *crew) turn(t testing.TB, long time.Duration) Turn {
	var all Turn
	var mu sync.Mutex
	var group sync.WaitGroup
	used := c.running.used(t)
	begun := time.Now()
	for _, one := range c.clients {
		group.Go(func() {
			own := c.calls(one, begun.Add(long))
			mu.Lock()
			defer mu.Unlock()
			all.Calls = append(all.Calls, own.Calls...)
			all.Errors += own.Errors
			all.Faults = append(all.Faults, own.Faults...)
		})
	}
	group.Wait()
	all.Took = time.Since(begun).Seconds()
	all.Used = (c.running.used(t) - used).Seconds()
	all.Faults = all.Faults[:min(len(all.Faults), mostFaults)]
	return all
}

// calls makes one call after the other. Whoever has lost the session begins another, which
// counts as a fault; the time of what fails counts for nothing.
func (c *crew) calls(one *client, until time.Time) (own Turn) {
	ctx, cancel := context.WithDeadline(context.Background(), until.Add(patience))
	defer cancel()
	for time.Now().Before(until) {
		err := c.begin(ctx, one)
		if err == nil {
			begun := time.Now()
			if err = c.call(ctx, one); err == nil {
				own.Calls = append(own.Calls, time.Since(begun).Microseconds())
				continue
			}
		}
		one.version = "" // it begins anew
		own.Errors++
		if len(own.Faults) < mostFaults {
			own.Faults = append(own.Faults, err.Error())
		}
	}
	return own
}

// begin agrees on the protocol, unless that is done.
func (c *crew) begin(ctx context.Context, one *client) error {
	if one.version != "" {
		return nil
	}
	if c.Protocol == stateless {
		one.version = stateless // enter has asked
		return nil
	}
	one.session = ""
	return one.agree(ctx, sessions)
}

func (c *crew) call(ctx context.Context, one *client) error {
	text, err := one.message("tools/call", object{"name": c.Tool, "arguments": object{"text": "hello", "times": 3}})
	if err != nil {
		return err
	}
	answer, _, err := one.send(ctx, "tools/call", c.Tool, text)
	if err == nil && (!bytes.Contains(answer, []byte(said)) || bytes.Contains(answer, []byte(`"isError":true`))) {
		err = fmt.Errorf("it says %.300s", answer)
	}
	return err
}

// Figures are what a lane comes to.
type Figures struct {
	Rate     float64       // calls a second, the median of the turns'
	P50, P99 time.Duration // of all calls
	Each     time.Duration // of processors, in one call
	Calls    int
	Errors   int
}

func (l Lane) figures() (f Figures) {
	var calls []int64
	var rates []float64
	var used float64
	for _, turn := range l.Turns {
		calls = append(calls, turn.Calls...)
		rates = append(rates, float64(len(turn.Calls))/turn.Took)
		f.Errors += turn.Errors
		used += turn.Used
	}
	if f.Calls = len(calls); f.Calls == 0 {
		return f
	}
	slices.Sort(calls)
	at := func(share float64) time.Duration {
		return time.Duration(calls[min(int(share*float64(len(calls))), len(calls)-1)]) * time.Microsecond
	}
	f.P50, f.P99, f.Rate = at(0.5), at(0.99), median(rates)
	f.Each = time.Duration(used / float64(f.Calls) * float64(time.Second))
	return f
}

// beside are an entrant's calls a second by another's, who took turns with it: the median
// of the rounds.
func (l Lane) beside(other Lane) float64 {
	var ratios []float64
	for i := range min(len(l.Turns), len(other.Turns)) {
		mine, theirs := l.Turns[i], other.Turns[i]
		if len(theirs.Calls) > 0 {
			ratios = append(ratios, float64(len(mine.Calls))/mine.Took*theirs.Took/float64(len(theirs.Calls)))
		}
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	switch n := len(sorted); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	default:
		return sorted[n/2]
	}
}
