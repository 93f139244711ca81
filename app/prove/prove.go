// Package prove shows that nothing is lost, done twice or paid wrongly, whoever
// dies: several worker processes work on one database and are killed again and
// again, at chosen moments too, while customers run workflows on a tool that writes
// down what reaches it. In the end the API, the books and the tool have to agree.
package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
)

// Options are the proof's choices.
type Options struct {
	Seed     uint64
	Jobs     int
	Kills    int
	Workers  int
	Restarts int       // of the database
	Database string    // address of a server to make a database on; "" is a private one
	Restart  string    // command that restarts the server of Database
	Program  []string  // what runs uaol; nil is this program
	Env      []string  // further variables of the worker processes
	Out      io.Writer // progress
}

// Check refuses what can't be proved with.
func (o *Options) Check() error {
	switch {
	case o.Jobs < 1 || o.Jobs > 100_000:
		return errors.New("--jobs must be 1 to 100000")
	case o.Kills < 0 || o.Kills > o.Jobs:
		return errors.New("--kills must be 0 to the number of jobs")
	case o.Workers < 2 || o.Workers > 16:
		return errors.New("--workers must be 2 to 16: some have to go on while others are dead")
	case o.Database != "" && o.Restart == "" && o.Restarts > 0:
		o.Restarts = 0 // nobody has said how
	case o.Restarts < 0 || o.Restarts > o.Kills:
		return errors.New("--restarts must be 0 to the number of kills")
	}
	return nil
}

type proof struct {
	Options
	plan      plan
	pool      *pgxpool.Pool
	database  *database
	tool      *toolServer
	fleet     *fleet
	everybody *everybody
	killer    *killer
	decider   *decider
	trusted   chain.Trusted
	restarts  int
	refused   int
}

// Run runs the proof. Of the environment it uses only what a machine may need. Its error says why it could not be carried out; what it has
// found is the report's.
func Run(ctx context.Context, env *config.Environment, o Options) (report *Report, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "uaol-prove-")
	if err != nil {
		return nil, err
	}
	// PostgreSQL runs as another user when we are root, and must get there.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil || !report.Holds() {
			o.say("What the processes said is in %s", filepath.Join(dir, "worker-*", "log"))
			_ = os.RemoveAll(filepath.Join(dir, "data"))
			return
		}
		err = os.RemoveAll(dir)
	}()
	p := &proof{Options: o, plan: newPlan(o)}
	began := time.Now()
	if err := p.open(ctx, env, dir); err != nil {
		return nil, errors.Join(err, p.close())
	}
	report, err = p.run(ctx)
	if err = errors.Join(err, p.close()); err != nil {
		return nil, err
	}
	report.Took = time.Since(began)
	return report, nil
}

func (o *Options) say(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }

// open starts everything.
func (p *proof) open(ctx context.Context, env *config.Environment, dir string) (err error) {
	if p.tool, err = startToolServer(); err != nil {
		return err
	}
	p.say("Seed %d: %d jobs, %d worker processes, %d kills, %d restarts of the database", p.Seed, p.Jobs, p.Workers, p.Kills, p.Restarts)
	archive, _ := env.Lookup("UAOL_POSTGRES_ARCHIVE")
	if p.database, err = openDatabase(ctx, archive, filepath.Join(dir, "data"), p.Options); err != nil {
		return err
	}
	if p.pool, err = postgres.Open(ctx, p.database.url); err != nil {
		return err
	}
	values := map[string]string{
		"DATABASE_URL": p.database.url, "DATABASE_POOL_MAX": "12", "UAOL_ADDR": "127.0.0.1:0", "LOG_FORMAT": "json", "LOG_LEVEL": "info",
		"ENCRYPTION_SECRET": rand.Text() + rand.Text(), "JWT_SECRET": rand.Text() + rand.Text(), "UAOL_SERVICE_SECRET": rand.Text() + rand.Text(),
		"UAOL_ADMIN_EMAIL": "admin@prove.example", "UAOL_ADMIN_API_KEY": "uaol_prove_" + rand.Text() + rand.Text(),
		"TOOL_EGRESS_ALLOW": strings.TrimPrefix(p.tool.url, "http://"), "UAOL_SIGNUPS_PER_HOUR": "0", "RATE_LIMIT_PER_MINUTE": "10000000",
		"UAOL_CALLS_PER_USER_MINUTE": "0", "UAOL_CALLS_PER_ORGANIZATION_MINUTE": "0", "UAOL_CALLS_PER_TOOL_MINUTE": "0", "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": "0",
	}
	if p.trusted, err = trusted(values); err != nil {
		return err
	}
	path, _ := env.Lookup("PATH")
	p.fleet = &fleet{program: p.Program, dir: dir, env: append([]string{"PATH=" + path, "TMPDIR=" + os.TempDir()}, p.Env...), places: make([]*process, p.Workers)}
	if p.fleet.program == nil {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		p.fleet.program = []string{self}
	}
	for name, value := range values {
		p.fleet.env = append(p.fleet.env, name+"="+value)
	}
	for place := range p.Workers { // the first one makes the tables
		if err := p.fleet.start(ctx, place); err != nil {
			return err
		}
	}
	p.everybody = &everybody{fleet: p.fleet, admin: values["UAOL_ADMIN_API_KEY"], http: &http.Client{Timeout: 30 * time.Second}}
	p.killer = &killer{fleet: p.fleet, tool: p.tool, pool: p.pool, done: map[moment]int{}, on: map[string]int{}}
	p.decider = &decider{everybody: p.everybody, tool: p.tool}
	return p.everybody.arrive(ctx, p.tool.url)
}

// trusted are the keys that the books are sealed with.
func trusted(values map[string]string) (chain.Trusted, error) {
	env := config.Of(values)
	ringConfig, err := config.Parse[keyring.Config](env)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.New(ringConfig, zap.NewNop())
	if err != nil {
		return nil, err
	}
	cfg, err := config.Parse[ledger.Config](env)
	if err != nil {
		return nil, err
	}
	_, trusted, err := ledger.Keys(cfg, ring)
	return trusted, err
}

func (p *proof) close() (err error) {
	if p.fleet != nil {
		p.fleet.close()
	}
	if p.pool != nil {
		p.pool.Close()
	}
	if p.database != nil {
		err = p.database.close()
	}
	if p.tool != nil {
		err = errors.Join(err, p.tool.close())
	}
	return err
}
