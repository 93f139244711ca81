package pgtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Statement is one that ran, and what ran it.
type Statement struct {
	SQL  string `json:"sql"`
	From string `json:"from"` // a function of the product's, or "pgx"
}

// collector notes every statement that the product runs, once each.
type collector struct {
	file *os.File

	mu   sync.Mutex
	seen map[Statement]bool
}

var collecting = sync.OnceValue(func() *collector {
	name, _ := os.LookupEnv("UAOL_TEST_STATEMENTS")
	if name == "" {
		return nil
	}
	// Several test processes write to it: a line each time, in one piece.
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		panic("UAOL_TEST_STATEMENTS: " + err.Error())
	}
	return &collector{file: file, seen: map[Statement]bool{}}
})

// Tracers are what a pool is to be made with, so that its statements are collected when
// UAOL_TEST_STATEMENTS asks for it.
func Tracers() []pgx.QueryTracer {
	if c := collecting(); c != nil {
		return []pgx.QueryTracer{c}
	}
	return nil
}

// TraceQueryStart implements pgx.QueryTracer.
func (c *collector) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	c.note(q.SQL)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (c *collector) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (c *collector) TraceBatchStart(ctx context.Context, _ *pgx.Conn, batch pgx.TraceBatchStartData) context.Context {
	for _, q := range batch.Batch.QueuedQueries {
		c.note(q.SQL)
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (c *collector) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (c *collector) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (c *collector) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, copied pgx.TraceCopyFromStartData) context.Context {
	c.note("COPY " + copied.TableName.Sanitize() + " FROM STDIN BINARY")
	return ctx
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (c *collector) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

func (c *collector) note(sql string) {
	from := caller()
	if from == "" {
		return
	}
	statement := Statement{SQL: strings.TrimSpace(sql), From: from} // as it is: a comment ends with its line
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[statement] {
		return
	}
	c.seen[statement] = true
	line, err := json.Marshal(statement)
	if err == nil {
		_, err = c.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic(fmt.Sprintf("UAOL_TEST_STATEMENTS: %v", err))
	}
}

// caller is the function of the product's whose statement this is; "" when it is a
// test's own, "pgx" when the library runs it by itself.
func caller() string {
	counters := make([]uintptr, 64) // beyond this function, note and the tracer
	frames := runtime.CallersFrames(counters[:runtime.Callers(4, counters)])
	for {
		frame, more := frames.Next()
		switch {
		case strings.Contains(frame.File, "/providers/postgres/pgtest/"), strings.HasSuffix(frame.File, "_test.go"):
			return ""
		case strings.HasPrefix(frame.Function, "uaol/providers/postgres."): // which runs others' statements
		case strings.HasPrefix(frame.Function, "uaol/"):
			return strings.TrimPrefix(frame.Function, "uaol/")
		}
		if !more {
			return "pgx"
		}
	}
}
