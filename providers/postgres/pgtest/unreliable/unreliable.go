// Package unreliable stands between clients and a PostgreSQL and makes it answer
// as a database of many nodes may: some statements are refused with
// SQLSTATE 40001, and some connections end right after COMMIT was passed on, so
// that nobody knows what became of it. It speaks the frontend/backend protocol,
// version 3 (PostgreSQL's manual, chapter 55), as far as that needs.
package unreliable

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// Faults are what goes wrong, each a share from 0 to 1.
type Faults struct {
	Refused float64 // of statements, and of COMMITs, that are answered 40001 and take no effect
	Cut     float64 // of COMMITs after which the connection ends; every other of them is never carried out
	Seed    uint64  // the same seed, connection and order of statements: the same faults
}

// Proxy listens until it is closed.
type Proxy struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	faults   Faults

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once it is closed
	wait  sync.WaitGroup

	count                             atomic.Uint64 // of connections
	statements, refused, commits, cut atomic.Int64
}

// Seen is what came through so far.
type Seen struct {
	Statements int64 // that could have been refused
	Refused    int64
	Commits    int64
	Cut        int64
}

// Start serves on a listener, which it closes in the end; dial reaches the database.
func Start(listener net.Listener, dial func(ctx context.Context) (net.Conn, error), faults Faults) *Proxy {
	p := &Proxy{listener: listener, dial: dial, faults: faults, conns: map[net.Conn]struct{}{}}
	p.wait.Go(p.accept)
	return p
}

// Close ends all connections and waits for that.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.wait.Wait()
	return err
}

// Seen counts what came through.
func (p *Proxy) Seen() Seen {
	return Seen{Statements: p.statements.Load(), Refused: p.refused.Load(), Commits: p.commits.Load(), Cut: p.cut.Load()}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.wait.Go(func() { p.serve(client) })
	}
}

// keep notes a connection to be closed with the proxy; false when that is too late.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		_ = conn.Close()
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *Proxy) leave(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *Proxy) serve(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.leave(client)
	server, err := p.dial(context.Background())
	if err != nil || !p.keep(server) {
		return
	}
	defer p.leave(server)
	l := newLink(p, client, server, rand.New(rand.NewPCG(p.faults.Seed, p.count.Add(1))))
	l.run()
}
