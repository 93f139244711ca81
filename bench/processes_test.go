package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/services/billing"
	"uaol/services/jobs"
)

// workerOf names the database that this process is to work on, and on nothing else.
const workerOf = "UAOL_BENCH_WORKER_OF"

// work is a worker's process: it begins when it is told a line, says each number
// of jobs that it has ended, and goes when there is nobody to tell.
func work(url string) error {
	pool, err := openPool(url, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	plans, err := config.Parse[billing.PlansConfig](config.Of(nil))
	if err != nil {
		return err
	}
	bus, ended := events.NewBus(), atomic.Int64{}
	bus.Subscribe(func(e events.Event) {
		if e.Type == "job.ended" {
			ended.Add(1)
		}
	})
	repository := jobs.NewRepository(pool)
	defer repository.Close()
	meter := billing.NewService(plans, billing.NewRepository(pool))
	engine := jobs.NewEngine(repository, noop{}, jobs.Models{}, meter, bus, jobs.Config{Concurrency: atOnce}, zap.NewNop())
	if err := pool.Ping(context.Background()); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	fmt.Println(0)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context) error{engine.Run, engine.Heartbeat, engine.Timers} {
		loops.Go(func() { _ = loop(ctx) })
	}
	loops.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for told := int64(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if n := ended.Load(); n > told {
				told = n
				fmt.Println(n)
			}
		}
	})
	_, err = in.ReadString('\n')
	cancel()
	loops.Wait()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// process is a worker's, as seen from here.
type process struct {
	*exec.Cmd
	in    io.WriteCloser
	ready chan struct{}
	ended atomic.Int64
	read  sync.WaitGroup
}

func startProcess(t testing.TB, url string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), ready: make(chan struct{})}
	p.Env = append(os.Environ(), workerOf+"="+url)
	p.Stderr = os.Stderr
	var err error
	p.in, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	p.read.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.ParseInt(strings.TrimSpace(lines.Text()), 10, 64); err == nil {
				if p.ended.Swap(n) == 0 && n == 0 {
					close(p.ready)
				}
			}
		}
	})
	select {
	case <-p.ready:
	case <-time.After(time.Minute):
		t.Fatal("a worker's process does not begin")
	}
	return p
}

// stop lets it end, and tells what it has worked.
func (p *process) stop(t testing.TB) time.Duration {
	t.Helper()
	_ = p.in.Close()
	p.read.Wait()
	require.NoError(t, p.Wait())
	return p.ProcessState.UserTime() + p.ProcessState.SystemTime()
}

// TestProcesses: one to three processes that do nothing but work share what is
// there already. What bounds them is seen in who works and what PostgreSQL's
// connections wait for.
func TestProcesses(t *testing.T) {
	n := size(t, "UAOL_BENCH_BACKLOG", 2000)
	for _, price := range []int64{0, 1} {
		all := make([]series, 4)
		for range rounds(t) {
			for k := 1; k <= 3; k++ {
				all[k] = append(all[k], together(t, n, k, price))
			}
		}
		var rows [][]string
		for k := 1; k <= 3; k++ {
			row := all[k].row(fmt.Sprint(k), all[1])
			rows = append(rows, row)
		}
		header := append([]string{"processes"}, costs[1:]...)
		header[3] = "× one"
		header[6] = "µs CPU/job of theirs"
		table(fmt.Sprintf("%d jobs of a step that does nothing, price %d, shared by processes; medians of %d", n, price, rounds(t)), header, rows)
	}
}

func together(t testing.TB, n, k int, price int64) measured {
	t.Helper()
	d := newDatabase(t, true)
	u := startUAOL(t, d, withNothing(price, true), nil)
	u.enrich(t)
	u.create(t, u.caller, n, request(t, u.step("a")))
	var workers []*process
	for range k {
		workers = append(workers, startProcess(t, d.url))
	}
	m := d.measure(t, n, func() {
		for _, p := range workers {
			_, err := p.in.Write([]byte("\n"))
			require.NoError(t, err)
		}
		late := time.Now().Add(30 * time.Minute)
		for sum := int64(0); sum < int64(n); time.Sleep(5 * time.Millisecond) {
			sum = 0
			for _, p := range workers {
				sum += p.ended.Load()
			}
			if time.Now().After(late) {
				t.Fatalf("%d of %d jobs have ended", sum, n)
			}
		}
	})
	m.own = 0
	for _, p := range workers {
		m.own += p.stop(t)
	}
	u.succeeded(t, n, price)
	u.stop()
	d.drop(t)
	return m
}
