package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Private is a PostgreSQL of a test's own, for what other tests must not feel: restarts,
// passwords, other rules of who may come in.
type Private struct {
	t testing.TB
	c *cluster
}

// Start runs one with more settings, on a migrated database; it ends with the test.
func Start(t testing.TB, settings map[string]string) *Private {
	t.Helper()
	work, err := newWorkDir()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	c := &cluster{work: work, settings: settings}
	if err := c.start(ctx, false, false); err != nil {
		t.Fatalf("pgtest: %v", errors.Join(err, c.stop()))
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return &Private{t: t, c: c}
}

// URL is its migrated database as the named role, past any pooler.
func (p *Private) URL(user, password string) string {
	return fmt.Sprintf("postgres://%s:%s@/%s?host=%s&port=5432", user, password, p.c.database, p.c.sockets)
}

// Do runs statements in its database as its superuser, on a connection of their own.
func (p *Private) Do(statements ...string) {
	p.t.Helper()
	if err := p.c.execute(p.c.database, statements...); err != nil {
		p.t.Fatalf("pgtest: %v", err)
	}
}

// Rules are who may come in, as pg_hba.conf has it; the superuser may, by the socket.
func (p *Private) Rules(lines ...string) {
	p.t.Helper()
	p.Write("pg_hba.conf", "local all postgres trust\n"+strings.Join(lines, "\n")+"\n")
	p.Do("SELECT pg_reload_conf()")
}

// Write puts a file into the server's directory, for it alone to read.
func (p *Private) Write(name, text string) {
	p.t.Helper()
	dir, err := p.c.server.Cluster()
	if err != nil {
		p.t.Fatalf("pgtest: %v", err)
	}
	file := filepath.Join(dir, name)
	var keeper unix.Stat_t
	err = errors.Join(os.WriteFile(file, []byte(text), 0o600), unix.Stat(dir, &keeper))
	if err == nil {
		err = os.Chown(file, int(keeper.Uid), int(keeper.Gid))
	}
	if err != nil {
		p.t.Fatalf("pgtest: %v", err)
	}
}

// Restart stops the server as an administrator does, and starts it again; meanwhile is
// done between.
func (p *Private) Restart(meanwhile func()) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	if err := p.c.server.Stop(ctx); err != nil {
		p.t.Errorf("pgtest: %v", err)
	}
	meanwhile()
	if err := p.c.server.Start(ctx); err != nil {
		p.t.Errorf("pgtest: %v", err)
	}
}

// Crash ends the server where it stands, and starts it again; meanwhile is done between.
func (p *Private) Crash(meanwhile func()) {
	p.t.Helper()
	p.c.server.Crash()
	p.Restart(meanwhile)
}

// Pooler runs a pgbouncer in transaction mode in front of it and gives the database's
// address there, with nothing in it that tells; the test is skipped where there is
// none. listen is more of pgbouncer's configuration.
func (p *Private) Pooler(user, password, listen string) (url string) {
	p.t.Helper()
	if _, err := poolerProgram(); err != nil {
		if set("CI") {
			p.t.Fatalf("pgtest: %v", err)
		}
		p.t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	var err error
	if p.c.pooler, err = startPooler(ctx, p.c.work.path, p.c.sockets, listen); err != nil {
		p.t.Fatalf("pgtest: %v", err)
	}
	p.t.Cleanup(func() {
		if p.t.Failed() {
			text, _ := os.ReadFile(filepath.Join(p.c.work.path, poolerLog))
			p.t.Logf("pgbouncer, which ended: %v: %s", p.c.pooler.Err(), text)
		}
	})
	return fmt.Sprintf("postgres://%s:%s@/%s?host=%s&port=%s", user, password, p.c.database, p.c.sockets, poolerPort)
}
