package prove

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// killer ends worker processes at the moments that a plan names, and starts others
// in their places.
type killer struct {
	fleet *fleet
	tool  *toolServer
	pool  *pgxpool.Pool
	done  map[moment]int
	on    map[string]int // by the method of the call that was at the tool
}

const (
	waitForCall  = 2 * time.Second // of the method that the plan wants; then any
	waitForAny   = 20 * time.Second
	waitForBlock = 10 * time.Second
	roam         = 150 * time.Millisecond // within which one dies anywhere
)

var errNoCall = errors.New("no call came to the tool")

// kill kills one process. Where the moment can't be met, since no call comes or the
// job changes hands, it looks for another, and in the end kills anywhere.
func (k *killer) kill(ctx context.Context, what kill) error {
	for try := 0; what.when != anywhere && try < 5; try++ {
		done, err := k.upon(ctx, what)
		if done || err != nil && !errors.Is(err, errNoCall) {
			return err
		}
		if err != nil {
			break
		}
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(rand.N(roam)):
	}
	all := k.fleet.alive()
	return k.end(ctx, all[rand.IntN(len(all))], anywhere)
}

// end kills a process and starts the next.
func (k *killer) end(ctx context.Context, p *process, when moment) error {
	k.fleet.kill(p)
	k.done[when]++
	return k.fleet.start(ctx, p.place)
}

// upon kills the process whose call is at the tool.
func (k *killer) upon(ctx context.Context, what kill) (done bool, err error) {
	held, err := k.capture(ctx, what)
	if err != nil {
		return false, err
	}
	answered := false
	defer func() {
		if !answered {
			held.answer <- true
		}
	}()
	var p *process
	if what.when == atTool {
		if p, err = k.holder(ctx, k.pool, held.job()); p == nil || err != nil {
			return false, transient(ctx, err)
		}
		k.fleet.kill(p)
		held.answer <- false
		answered = true
		k.done[atTool]++
	} else {
		tx, err := k.pool.Begin(ctx)
		if err != nil {
			return false, transient(ctx, err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if p, err = k.holder(ctx, tx, held.job()); p == nil || err != nil {
			return false, transient(ctx, err)
		}
		held.answer <- true
		answered = true
		blocked, err := k.blocked(ctx, tx)
		if err != nil || len(blocked) == 0 {
			return false, transient(ctx, err)
		}
		k.fleet.kill(p)
		// Its statement waits in the database still, and would be carried out.
		if _, err := k.pool.Exec(ctx, `SELECT pg_terminate_backend(pid, 5000) FROM unnest($1::int[]) AS pid`, blocked); err != nil {
			return false, fmt.Errorf("what a dead process was writing could not be ended: %w", err)
		}
		k.done[beforeCommit]++
	}
	r, _ := k.tool.of(held.key)
	k.on[r.method]++
	return true, k.fleet.start(ctx, p.place)
}

// capture waits for a call at the tool and has it held there.
func (k *killer) capture(ctx context.Context, what kill) (*captive, error) {
	t := k.tool.set(what.method, what.early)
	defer k.tool.unset()
	widen := time.AfterFunc(waitForCall, func() { k.tool.widen(t) })
	defer widen.Stop()
	select {
	case held := <-t.caught:
		return held, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(waitForAny):
	}
	k.tool.unset()
	select {
	case held := <-t.caught: // just now
		return held, nil
	default:
		return nil, errNoCall
	}
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// holder is the process that works on a job, whose row it locks where that is in a
// transaction; nil when there is none just now.
func (k *killer) holder(ctx context.Context, q querier, job string) (*process, error) {
	var name string
	err := q.QueryRow(ctx, `
		SELECT w.process FROM uaol_jobs.runs r JOIN uaol_jobs.workers w ON w.worker_id = r.worker_id
		WHERE r.job_id = $1::uuid FOR UPDATE OF r`, job).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, number, _ := strings.Cut(name, "/")
	pid, err := strconv.Atoi(number)
	return k.fleet.byPID(pid), err
}

// blocked waits until somebody waits for the transaction's locks, and gives those.
func (k *killer) blocked(ctx context.Context, tx pgx.Tx) (pids []int32, err error) {
	var self int32
	if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&self); err != nil {
		return nil, err
	}
	for until := time.Now().Add(waitForBlock); len(pids) == 0 && time.Now().Before(until); {
		rows, err := k.pool.Query(ctx, `
			SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(pid))`, self)
		if err != nil {
			return nil, err
		}
		if pids, err = pgx.CollectRows(rows, pgx.RowTo[int32]); err != nil {
			return nil, err
		}
	}
	return pids, nil
}

// transient is nothing for errors of a database that is being restarted.
func transient(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return nil
}
