package fleet

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"uaol/providers/goprogram"
	"uaol/services"
)

// AdminKey is the API key of the platform's admin.
const AdminKey = "a key of the fleet's admin, long enough"

// Options say what a Fleet is made of.
type Options struct {
	Together bool // everything in one process, instead of each service in its own
	Replicas int  // of each process
	Redis    bool
	NATS     bool
	Clock    bool              // the database's can be set, where libfaketime is installed
	Disk     bool              // files lie on a disk of their own, of 256 MB, where we are root
	Program  string            // default: as it stands here
	Env      map[string]string // more settings
}

// Fleet is a running UAOL.
type Fleet struct {
	Database *Database
	Redis    *Process // nil without
	NATS     *Process // nil without
	Members  []*Member
	Tools    *Tools
	program  string
	env      map[string]string
	clock    string // file that says by how much the database's clock is wrong
	disk     string // directory that files lie in, when it can be filled
}

// Member is one process of UAOL.
type Member struct {
	*Process
	Service services.Name // the first one, of a process that runs all
	Address string
}

// URLs are the addresses of a service's replicas.
func (f *Fleet) URLs(service services.Name) (urls []string) {
	for _, m := range f.Members {
		if m.Service == service {
			urls = append(urls, "http://"+m.Address)
		}
	}
	return urls
}

// Start runs a Fleet until the test ends.
func Start(t testing.TB, o Options) *Fleet {
	t.Helper()
	f := &Fleet{Tools: startTools(t), program: o.Program}
	var clock []string
	if o.Clock {
		f.clock, clock = settableClock(t)
	}
	f.Database = startDatabase(t, clock...)
	if f.program == "" {
		f.program = Program(t)
	}
	nothing := filepath.Join(place(t, "settings"), "none") // nobody's .env counts
	if err := os.WriteFile(nothing, nil, 0o600); err != nil {
		t.Fatalf("fleet: %v", err)
	}
	f.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": workDir(t), "TMPDIR": os.TempDir(),
		"UAOL_ENV_FILE": nothing, "UAOL_ENV": "production", "UAOL_MIGRATE": "false",
		"DATABASE_URL": f.Database.URL, "DATABASE_POOL_MAX": "12", "LOG_FORMAT": "json",
		"UAOL_SERVICE_SECRET": "a secret that the processes of one fleet share",
		"JWT_SECRET":          "a secret that signs the tokens of one fleet, long enough",
		"ENCRYPTION_SECRET":   "a secret that encrypts the keys of one fleet, long enough",
		"UAOL_ADMIN_EMAIL":    "admin@example.com", "UAOL_ADMIN_API_KEY": AdminKey,
		"RATE_LIMIT_PER_MINUTE": "100000000", "UAOL_CALLS_PER_TOOL_MINUTE": "0", "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": "0", "UAOL_SIGNUPS_PER_HOUR": "0", "UAOL_PLAN_FREE": "credits=100000000 storage=100GB files=365",
		"TOOL_EGRESS_ALLOW": f.Tools.Host(), "UAOL_CALL_HOLD_SECONDS": "60", // tools answer at once; what dead processes left is settled while the books are waited for
	}
	if o.Redis {
		f.Redis = startRedis(t)
		f.env["REDIS_URL"] = "redis://" + f.Redis.ready + "/0"
	}
	if o.NATS {
		f.NATS = startNATS(t)
		f.env["MQ_TYPE"], f.env["NATS_URL"] = "nats", "nats://"+f.NATS.ready
	}
	f.place(t, o)
	maps.Copy(f.env, o.Env)
	f.Migrate(t, f.program, "up")
	t.Cleanup(func() { f.each(func(m *Member) error { return m.Kill() }) })
	if err := f.each(func(m *Member) error { return m.Start(context.Background()) }); err != nil {
		t.Fatalf("fleet: %v", err)
	}
	return f
}

// place gives every process its address and lets all know of it.
func (f *Fleet) place(t testing.TB, o Options) {
	t.Helper()
	sets := []services.Name{services.Auth, services.Registry, services.Proxy, services.Jobs, services.Billing, services.Storage, services.Gateway}
	if o.Together {
		sets = []services.Name{services.Gateway}
	}
	files := place(t, "files") // which all storage processes share
	if o.Disk {
		f.disk = ownDisk(t, files)
	}
	at := map[services.Name][]string{}
	for _, service := range sets {
		for i := range max(o.Replicas, 1) {
			m := &Member{Service: service, Address: address(freePort(t))}
			data := place(t, "data")
			if service == services.Storage || o.Together {
				data = files
			}
			name := fmt.Sprintf("%s-%d", service, i+1)
			args := []string{"serve", "--addr", m.Address}
			if !o.Together {
				args = append(args, string(service))
			}
			m.Process = &Process{Name: name, program: f.program, args: args, log: filepath.Join(workDir(t), name+".log"), ready: "http://" + m.Address + "/readyz"}
			m.env = []string{"UAOL_DATA_DIR=" + data}
			if os.Getenv(profiles) != "" {
				m.admin = address(freePort(t))
				m.env = append(m.env, "UAOL_ADMIN_ADDR="+m.admin)
			}
			f.Members = append(f.Members, m)
			at[service] = append(at[service], "http://"+m.Address)
		}
	}
	if !o.Together {
		for service, urls := range at {
			if service != services.Gateway {
				f.env["UAOL_"+strings.ToUpper(string(service))+"_URL"] = strings.Join(urls, ",")
			}
		}
	}
	for _, m := range f.Members {
		m.env = append(m.env, list(f.env)...)
		for name, value := range o.Env {
			m.env = append(m.env, name+"="+value)
		}
	}
}

// Migrate runs uaol migrate.
func (f *Fleet) Migrate(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"migrate"}, args...)...)
	cmd.Env = append(list(f.env), "UAOL_DATA_DIR="+place(t, "migrate"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fleet: migrate %v: %v: %s", args, err, out)
	}
}

// Run runs a command of the program with the fleet's settings and gives what it prints.
func (f *Fleet) Run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(f.program, args...)
	cmd.Env = append(list(f.env), "UAOL_DATA_DIR="+place(t, "command"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// each does something with all members at once and gives the first error.
func (f *Fleet) each(do func(*Member) error) (first error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, m := range f.Members {
		group.Go(func() {
			if err := do(m); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	group.Wait()
	return first
}

func list(env map[string]string) (all []string) {
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	return all
}

// settableClock is a file that says by how much a program is wrong about the time, and
// the environment that makes it so (libfaketime).
func settableClock(t testing.TB) (file string, env []string) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		t.Log("libfaketime is not installed: no clock is set back (apt-get install libfaketime)")
		return "", nil
	}
	file = filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(file, []byte("+0\n"), 0o644); err != nil {
		t.Fatalf("fleet: %v", err)
	}
	for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // PostgreSQL may be somebody else
	}
	return file, []string{"LD_PRELOAD=" + found[0], "FAKETIME_TIMESTAMP_FILE=" + file, "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"}
}

// ownDisk mounts a small one on a directory.
func ownDisk(t testing.TB, dir string) string {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Logf("no disk can be mounted, so none gets full: %v: %s", err, out)
		return ""
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "--lazy", dir).CombinedOutput(); err != nil {
			t.Errorf("fleet: %v: %s", err, out)
		}
	})
	return dir
}

func startRedis(t testing.TB) *Process {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		skip(t, "redis-server is not installed (apt-get install redis-server)")
	}
	at := address(freePort(t))
	_, port, _ := net.SplitHostPort(at)
	return other(t, &Process{Name: "redis", program: program, ready: at,
		args: []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", place(t, "redis")}})
}

// natsVersion is the server that tests of package events run too.
const natsVersion = "v2.15.0"

func startNATS(t testing.TB) *Process {
	t.Helper()
	program := goprogram.Installed(t, "github.com/nats-io/nats-server/v2", natsVersion)
	at := address(freePort(t))
	_, port, _ := net.SplitHostPort(at)
	return other(t, &Process{Name: "nats", program: program, ready: at,
		args: []string{"--addr", "127.0.0.1", "--port", port, "--jetstream", "--store_dir", place(t, "nats")}})
}

// other runs a program that is not ours until the test ends.
func other(t testing.TB, p *Process) *Process {
	t.Helper()
	p.log = filepath.Join(workDir(t), p.Name+".log")
	p.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + workDir(t)}
	if err := p.Start(context.Background()); err != nil {
		t.Fatalf("fleet: %v", err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
