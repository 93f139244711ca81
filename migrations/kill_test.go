package migrations_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/services"
)

// migrateHere makes this test binary a process that migrates, see TestMain.
const migrateHere = "UAOL_TEST_MIGRATE"

// child is such a process.
func child(t testing.TB, url string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	var said bytes.Buffer
	command := exec.CommandContext(t.Context(), program)
	command.Env = append(os.Environ(), migrateHere+"="+url)
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	return command, &said
}

func isChild() {
	if url := os.Getenv(migrateHere); url != "" {
		if err := migrations.Up(context.Background(), url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// undisturbed is what the tables look like when nothing happens on the way.
func undisturbed(t testing.TB) string {
	t.Helper()
	b := setup(t)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	picture := b.picture(t, `uaol\_%`)
	require.NotEmpty(t, picture)
	return picture
}

// TestEightProcessesAtOnce begin on a database that has nothing of ours.
func TestEightProcessesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var commands []*exec.Cmd
	var said []*bytes.Buffer
	for range 8 {
		command, out := child(t, b.url)
		commands, said = append(commands, command), append(said, out)
	}
	for i, command := range commands {
		require.NoError(t, command.Wait(), "%s", said[i])
	}
	b.ready(t)
	require.Equal(t, undisturbed(t), b.picture(t, `uaol\_%`))
}

// TestKilledAtEachStep: the process is killed before and after each statement that
// it sends has reached the database. After the last of these deaths, a run that is
// left alone makes what an undisturbed one makes.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	axe := newAxe(t, b)
	survived := 0
	for survived == 0 {
		command, said := child(t, axe.url)
		axe.aim(command)
		err := command.Wait()
		var exit *exec.ExitError
		switch {
		case err == nil:
			survived++
		case errors.As(err, &exit) && !exit.Exited(): // by a signal
		default:
			require.NoError(t, err, "%s", said)
		}
	}
	axe.stop()
	files := 0
	for _, owner := range migrations.Owners() {
		files += int(migrations.Latest(owner))
	}
	t.Logf("%d deaths in %d files", axe.deaths(), files)
	require.GreaterOrEqual(t, axe.deaths(), 2*5*files, "before and after: begin, its time limit, the file, its version, commit")
	b.ready(t)
	require.Equal(t, undisturbed(t), b.picture(t, `uaol\_%`))

	// And back, and there again.
	for _, owner := range migrations.Owners() {
		require.NoError(t, migrations.Down(t.Context(), b.url, int(migrations.Latest(owner)), owner))
	}
	require.NoError(t, migrations.Up(t.Context(), b.url))
	require.Equal(t, undisturbed(t), b.picture(t, `uaol\_%`))
}

// Whether the database has got the statement.
const before, after = "before ", "after "

// axe stands between a process and its database and kills the process once at each
// moment that it has not killed it at before.
type axe struct {
	url      string
	database string // the server's socket
	listener net.Listener
	open     sync.WaitGroup

	mu    sync.Mutex
	seen  map[string]bool
	prey  *os.Process
	ready *sync.Cond
	done  int // files that were committed
}

func newAxe(t testing.TB, b *bench) *axe {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg, err := pgx.ParseConfig(b.url)
	require.NoError(t, err)
	a := &axe{
		url:      fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", cfg.User, listener.Addr(), cfg.Database),
		database: fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port), listener: listener, seen: map[string]bool{},
	}
	a.ready = sync.NewCond(&a.mu)
	a.open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			a.open.Go(func() { a.between(client) })
		}
	})
	t.Cleanup(a.stop)
	return a
}

func (a *axe) stop() {
	_ = a.listener.Close()
	a.open.Wait()
}

func (a *axe) aim(command *exec.Cmd) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prey = command.Process
	a.ready.Broadcast()
}

func (a *axe) deaths() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// strike kills at a moment that is new: a statement with its arguments and, in a
// transaction, the file that it is about.
func (a *axe) strike(when, statement string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	moment := when + statement
	switch word, _, _ := strings.Cut(strings.TrimRight(statement, "\x00"), " "); word {
	case "begin", "SET", "commit":
		moment = fmt.Sprint(moment, a.done)
	}
	if when == after && strings.HasPrefix(statement, "commit") {
		a.done++
	}
	if a.seen[moment] {
		return false
	}
	a.seen[moment] = true
	for a.prey == nil {
		a.ready.Wait()
	}
	_ = a.prey.Kill() // it waits for the database's answer
	a.prey = nil
	return true
}

// between passes on what the two say; see PostgreSQL's manual, "Message Formats".
func (a *axe) between(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", a.database)
	if err != nil {
		return
	}
	defer server.Close()
	a.open.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	first := make([]byte, 4)
	if _, err := io.ReadFull(client, first); err != nil {
		return
	}
	if _, err := server.Write(first); err != nil {
		return
	}
	if _, err := io.CopyN(server, client, int64(binary.BigEndian.Uint32(first))-4); err != nil {
		return
	}
	var statement bytes.Buffer // text and arguments
	var waiting []byte
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		waiting = append(append(waiting, head...), body...)
		if head[0] == 'Q' || head[0] == 'P' || head[0] == 'B' {
			statement.Write(body)
		}
		complete := head[0] == 'Q' || head[0] == 'S'
		if complete && a.strike(before, statement.String()) {
			return
		}
		if head[0] == 'X' || complete {
			if _, err := server.Write(waiting); err != nil {
				return
			}
			waiting = nil
		}
		if complete && a.strike(after, statement.String()) {
			return
		}
		if complete {
			statement.Reset()
		}
	}
}

// TestInterruptedBefore: what releases with golang-migrate's own driver left is
// mended where it is certain how the tables are.
func TestInterruptedBefore(t *testing.T) {
	t.Parallel()
	latest := int(migrations.Latest(services.Jobs))
	for name, c := range map[string]struct {
		stand, says int // the version that the tables have, and the one that was written down
	}{
		"not gone up":   {stand: latest - 2, says: latest - 1},
		"gone up":       {stand: latest - 1, says: latest - 1},
		"not gone down": {stand: latest, says: latest - 1},
		"first":         {stand: 0, says: 1},
		"last down":     {stand: 0, says: -1},
		"not last down": {stand: 1, says: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			require.NoError(t, migrations.Up(t.Context(), b.url))
			want := b.picture(t, `uaol\_%`)
			if c.stand < latest {
				require.NoError(t, migrations.Down(t.Context(), b.url, latest-c.stand, services.Jobs))
			}
			_, err := b.pool.Exec(t.Context(), `DELETE FROM uaol_jobs.schema_migrations`)
			require.NoError(t, err)
			_, err = b.pool.Exec(t.Context(), `INSERT INTO uaol_jobs.schema_migrations VALUES ($1, true)`, c.says)
			require.NoError(t, err)
			states, err := migrations.Status(t.Context(), b.pool, services.Jobs)
			require.NoError(t, err)
			require.False(t, states[0].Ready())
			require.NoError(t, migrations.Up(t.Context(), b.url))
			b.ready(t)
			require.Equal(t, want, b.picture(t, `uaol\_%`))
		})
	}
}

// TestUncertainIsNotMended: the step changed rows alone, or somebody changed the
// tables by hand.
func TestUncertainIsNotMended(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"rows alone": `UPDATE uaol_registry.schema_migrations SET version = 4, dirty = true`,
		"by hand":    `ALTER TABLE uaol_registry.tools ADD COLUMN mine int; UPDATE uaol_registry.schema_migrations SET dirty = true`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			require.NoError(t, migrations.Up(t.Context(), b.url))
			if name == "rows alone" {
				require.NoError(t, migrations.Down(t.Context(), b.url, int(migrations.Latest(services.Registry))-4, services.Registry))
			}
			_, err := b.pool.Exec(t.Context(), sql)
			require.NoError(t, err)
			require.ErrorContains(t, migrations.Up(t.Context(), b.url), "set the version that they have in uaol_registry.schema_migrations")
			states, err := migrations.Status(t.Context(), b.pool, services.Registry)
			require.NoError(t, err)
			require.True(t, states[0].Dirty, "nothing was decided")
		})
	}
}
