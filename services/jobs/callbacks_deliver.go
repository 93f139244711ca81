package jobs

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	lanesLooked    = 1000 // at once
	mostCallbacks  = 128  // told at once by one process; each may hold a megabyte
	mostOfTeam     = 32   // of them, of one organisation
	mostOfHost     = 16   // of them, to one host
	firstOfHost    = 4    // to one that nothing is known of
	mostRemembered = 10_000

	callbackPoll   = 100 * time.Millisecond
	callbackIdle   = 2 * time.Second
	callbackGap    = 5 * time.Millisecond // between looks, after one that found something
	callbackWidest = 250 * time.Millisecond
)

// receiver is a host that is told of jobs' ends. One that fails is told of one
// at a time until it is well, so that it takes little from others.
type receiver struct{ now, most int }

// Run is a workers.Worker's loop: it tells what is due. When its context ends it
// begins nothing more and lets what is under way end for a moment.
func (c *Callbacks) Run(ctx context.Context) error {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer c.windDown(cut)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, gap, looked := callbackPoll, callbackGap, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
			// Most jobs tell nobody: many ends are then one look.
			if !wait(ctx, gap-time.Since(looked)) {
				return nil
			}
		case <-timer.C:
		}
		looked = time.Now()
		found, err := c.look(ctx, sending)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.log.Warn("jobs' ends can't be told just now, trying again", zap.Error(err))
			pause = callbackIdle
		case found > 0:
			pause, gap = callbackPoll, callbackGap
		default:
			pause, gap = min(2*pause, callbackIdle), min(2*gap, callbackWidest)
		}
		timer.Reset(pause/2 + rand.N(pause/2))
	}
}

func wait(ctx context.Context, pause time.Duration) bool {
	if pause <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// windDown waits for what is under way, and cuts what takes too long.
func (c *Callbacks) windDown(cut context.CancelFunc) {
	timer := time.AfterFunc(c.handBackIn, cut)
	defer timer.Stop()
	c.going.Wait()
	cut()
	c.client.CloseIdleConnections()
}

// look takes what is due, as far as there is room, and begins to tell it.
func (c *Callbacks) look(ctx, sending context.Context) (int, error) {
	c.more.Store(false)
	found, err := c.repository.callbackLanes(ctx, c.after, lanesLooked)
	if err != nil {
		return 0, err
	}
	begun := c.after
	lanes, rooms, last := c.share(found)
	switch c.after = last; {
	case last != "":
	case len(found) == lanesLooked:
		c.after = found[len(found)-1].Name
		c.Wake()
	case begun != "":
		c.Wake() // the lanes before have their turn
	}
	if len(lanes) == 0 {
		return 0, nil
	}
	taken, err := c.repository.claimCallbacks(ctx, lanes, rooms, c.lease)
	if err != nil {
		return 0, err
	}
	for i := range taken {
		c.begin(sending, &taken[i])
	}
	if len(taken) > 0 {
		c.Wake() // there may be more
	}
	return len(taken), nil
}

// share divides the room that there is among the lanes in which something is due.
// last is the lane after which there was none left.
func (c *Callbacks) share(found []lane) (lanes []string, rooms []int32, last string) {
	due := 0
	for _, l := range found {
		if l.Due {
			due++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	left, teams, hosts := mostCallbacks-c.now, map[string]int{}, map[string]int{}
	for _, l := range found {
		if !l.Due {
			continue
		}
		team, host := partsOf(l.Name)
		most, now := firstOfHost, 0
		if r := c.hosts[host]; r != nil {
			most, now = r.most, r.now
		}
		room := min(max(left/due, 1), left, most-now-hosts[host], mostOfTeam-c.teams[team]-teams[team])
		due--
		if room <= 0 {
			c.more.Store(true)
			if left == 0 && last == "" && len(lanes) > 0 {
				last = lanes[len(lanes)-1]
			}
			continue
		}
		left, teams[team], hosts[host] = left-room, teams[team]+room, hosts[host]+room
		lanes, rooms = append(lanes, l.Name), append(rooms, int32(room))
	}
	return lanes, rooms, last
}

// partsOf reads a lane's name: an organisation's id, then the host.
func partsOf(lane string) (team, host string) {
	const id = 36
	if len(lane) <= id {
		return lane, ""
	}
	return lane[:id], lane[id+1:]
}

func (c *Callbacks) begin(ctx context.Context, t *telling) {
	team, host := partsOf(t.Lane)
	c.mu.Lock()
	r := c.hosts[host]
	if r == nil {
		if len(c.hosts) > mostRemembered {
			c.forget()
		}
		r = &receiver{most: firstOfHost}
		c.hosts[host] = r
	}
	c.now++
	r.now++
	c.teams[team]++
	c.mu.Unlock()
	c.going.Go(func() {
		delivered := c.tell(ctx, t)
		c.mu.Lock()
		c.now--
		r.now--
		if c.teams[team]--; c.teams[team] == 0 {
			delete(c.teams, team)
		}
		if delivered {
			r.most = min(2*max(r.most, firstOfHost/2), mostOfHost)
		} else {
			r.most = 1
		}
		c.mu.Unlock()
		if c.more.Load() {
			c.Wake()
		}
	})
}

// forget drops what is known of hosts that nothing is under way to.
func (c *Callbacks) forget() {
	for host, r := range c.hosts {
		if r.now == 0 {
			delete(c.hosts, host)
		}
	}
}

// tell makes one attempt and writes down what came of it. When that can't be
// written, or what is to be told can't be read, the lease ends and it is told again.
func (c *Callbacks) tell(ctx context.Context, t *telling) (delivered bool) {
	body, err := c.body(ctx, t)
	if err != nil {
		c.log.Warn("a job's end can't be told just now", zap.Stringer("job", t.Job), zap.Error(err))
		return false
	}
	status, err := c.post(ctx, t, body)
	o := callbackOutcome{Job: t.Job, Event: t.Event, Attempt: t.Attempt, Error: failureOfCallback(status, err, c.answerIn)}
	switch {
	case o.Error == "":
	case ctx.Err() != nil: // this process stops; another goes on
		o.Error, o.Again = "UAOL stopped while it waited for an answer", new(time.Duration)
	case !givesUp(status):
		o.Again = pauseAfter(t.Attempt)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.lease/6)
	defer cancel()
	if _, _, err := c.outcomes.Do(ctx, o); err != nil {
		c.log.Warn("what came of telling of a job's end can't be written down", zap.Stringer("job", t.Job), zap.Error(err))
	}
	return o.Error == ""
}

// callbackPauses are between the attempts to tell of one end.
var callbackPauses = [...]time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}

// pauseAfter is how long after an attempt, from 1, the next one is made: up to a
// fifth longer than the table says, so that what failed together does not come
// back together. Nil after the last one.
func pauseAfter(attempt int) *time.Duration {
	if attempt > len(callbackPauses) {
		return nil
	}
	pause := callbackPauses[max(attempt, 1)-1]
	pause += rand.N(pause / 5)
	return &pause
}
