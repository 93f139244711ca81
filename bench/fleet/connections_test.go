package fleet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uaol/services"
)

// TestConnections keeps UAOL_FLEET_CONNECTIONS open to one process: half of them idle
// after a request, four of ten following a job that waits, and one of ten asking
// something every second. It tells what each connection takes of memory and how long
// those that ask wait.
func TestConnections(t *testing.T) {
	n := int(Size(t, "UAOL_FLEET_CONNECTIONS", 200))
	moreFiles(t, uint64(n+2000)) // each end has its own
	f := Start(t, Options{Together: true, Env: map[string]string{"UAOL_MAX_CONNECTIONS": "20000"}})
	server := f.Members[0]
	c := NewClients(t, f.URLs(services.Gateway)[0], f.Tools)
	job := waiting(t, c)
	before := server.memory()
	var open sync.WaitGroup
	var heard atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer open.Wait()
	defer cancel()

	idle := NewRaw(server.Address, "/tools/"+c.tool, c.keys[1]) // of an account that may not change it
	for range n / 2 {
		conn := dial(t, server.Address)
		defer conn.Close()
		if _, err := conn.Write(idle.Request); err != nil {
			t.Fatal(err)
		}
		if err := idle.answer(bufio.NewReader(conn)); err != nil {
			t.Fatal(err)
		}
	}
	afterIdle := server.memory()
	following := "GET /jobs/" + job + "/events HTTP/1.1\r\nHost: x\r\nX-API-Key: " + c.keys[0] + "\r\n\r\n"
	var cut atomic.Int64
	for range n * 4 / 10 {
		conn := dial(t, server.Address)
		if _, err := io.WriteString(conn, following); err != nil {
			t.Fatal(err)
		}
		open.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			first := true
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if first && strings.HasPrefix(lines.Text(), "data:") {
					first = false
					heard.Add(1)
				}
			}
			if ctx.Err() == nil {
				cut.Add(1)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); heard.Load() < int64(n*4/10); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d streams have begun", heard.Load(), n*4/10)
		}
	}
	afterStreams := server.memory()
	report := newReport()
	long := time.Duration(Size(t, "UAOL_FLEET_MINUTES", 0.05) * float64(time.Minute))
	var asking sync.WaitGroup
	active := make([]net.Conn, n/10)
	for i := range active {
		active[i] = dial(t, server.Address)
		defer active[i].Close()
	}
	begun := time.Now()
	for i, conn := range active {
		asking.Go(func() {
			in := bufio.NewReader(conn)
			for due := begun.Add(time.Duration(i) * time.Second / time.Duration(n/10)); due.Before(begun.Add(long)); due = due.Add(time.Second) {
				time.Sleep(time.Until(due))
				_, err := conn.Write(idle.Request)
				if err == nil {
					err = idle.answer(in)
				}
				report.add(outcome{"look up", due, time.Since(due), err})
			}
		})
	}
	asking.Wait()
	report.offered = time.Since(begun)
	after := server.memory()
	report.Print(os.Stdout, fmt.Sprintf("%d connections", n))
	each := func(from, to int64, of int) string { return fmt.Sprintf("%.1f KB", float64(to-from)/1024/float64(of)) }
	fmt.Printf("memory: %d MB before, %d MB with all; an idle connection %s, a stream %s, one that asks %s; all together %s each\n", before>>20, after>>20,
		each(before, afterIdle, n/2), each(afterIdle, afterStreams, n*4/10), each(afterStreams, after, n/10), each(before, after, n))
	if _, failed := report.Count(); failed > 0 || cut.Load() > 0 {
		t.Errorf("%d requests failed, %d streams were cut", failed, cut.Load())
	}
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, answersWithin)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// waiting makes a job that sleeps for an hour.
func waiting(t testing.TB, c *Clients) (id string) {
	t.Helper()
	answer, err := c.ask(t.Context(), c.keys[0], http.MethodPost, "/jobs", map[string]any{"workflow_definition": map[string]any{"steps": []any{
		map[string]any{"id": "nap", "kind": "sleep", "duration": "1h"},
	}}}, http.StatusCreated)
	if err != nil {
		t.Fatal(err)
	}
	id, _ = at(answer, "data", "job_id").(string)
	return id
}

// moreFiles lets this process, and those that it starts, have so many open.
func moreFiles(t testing.TB, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n {
		return
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Skipf("%d files can't be open at once here: %v", n, err)
	}
}
