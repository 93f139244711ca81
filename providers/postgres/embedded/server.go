package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"uaol/providers/postgres/embedded/child"
)

// Server is one private PostgreSQL, running or not.
type Server struct {
	cfg     Config
	log     *zap.Logger
	dataDir string // absolute
	sockets string
	logName string
	wait    patience

	mu      sync.Mutex
	lock    *lock
	process *child.Child
	output  *logFile
	stopped chan struct{} // closed by Stop, so that an end without it is news
}

// New computes the paths of a server; it opens and makes nothing.
func New(cfg Config, log *zap.Logger) (*Server, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("no data directory: set UAOL_DATA_DIR")
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", cfg.DataDir, err)
	}
	return &Server{cfg: cfg, log: log, dataDir: dir, sockets: socketDir(dir), logName: logName, wait: defaultPatience()}, nil
}

// URL is the address of the database "uaol". It follows from the data directory
// alone, so a pool can be configured before Start.
func (s *Server) URL() string { return databaseURL(s.sockets, database) }

// Start returns when the database answers. Its context bounds only the start.
func (s *Server) Start(ctx context.Context) error { return s.start(ctx, holderServe) }

func (s *Server) start(ctx context.Context, as string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		return errors.New("PostgreSQL was already started by this process")
	}
	if err := s.makeDataDir(); err != nil {
		return err
	}
	held, err := acquire(ctx, s.dataDir, holder{PID: os.Getpid(), As: as, Sockets: s.sockets}, s.wait.command, s.log)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			held.release()
		}
	}()
	s.log.Info("private PostgreSQL", zap.String("data", s.dataDir))
	if err := s.settle(); err != nil {
		return err
	}
	site, err := s.site()
	if err != nil {
		return err
	}
	programs, err := s.programs(ctx, site)
	if err != nil {
		return err
	}
	programs = s.upgraded(ctx, site, programs)
	if err := s.initialize(ctx, site, programs); err != nil {
		return err
	}
	if err := s.launch(ctx, site, programs); err != nil {
		return err
	}
	s.lock = held
	return nil
}

// launch starts postgres on an initialized cluster and waits for its answer.
func (s *Server) launch(ctx context.Context, at site, with programs) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait.start,
		fmt.Errorf("PostgreSQL did not answer within %s", s.wait.start))
	defer cancel()
	if err := s.evict(ctx, at); err != nil {
		return err
	}
	if err := makeSocketDir(s.sockets, at.user); err != nil {
		return err
	}
	for _, name := range []string{socketFile(s.sockets), socketFile(s.sockets) + ".lock"} {
		_ = os.Remove(name) // of a killed one; its number may meanwhile be another program's
	}
	for {
		err := s.attempt(ctx, at, with)
		if err == nil {
			s.log.Info("PostgreSQL answers", zap.String("version", with.version),
				zap.String("cluster", at.dir), zap.Duration("took", time.Since(began)))
			return nil
		}
		if !lingering(err) || ctx.Err() != nil {
			_ = os.RemoveAll(s.sockets) // only a tidy /tmp
			return err
		}
		s.log.Warn("waiting for the rest of an earlier PostgreSQL", zap.Error(err))
		if pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

func (s *Server) attempt(ctx context.Context, at site, with programs) error {
	out, err := openLog(filepath.Join(s.dataDir, s.logName))
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(with.dir, "postgres"), s.arguments(at.dir)...)
	cmd.Dir, cmd.Env = "/", append(environment(), s.cfg.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	// SIGQUIT is PostgreSQL's immediate shutdown.
	p, err := child.Start(cmd, at.user, syscall.SIGQUIT)
	if err != nil {
		return errors.Join(err, out.Close())
	}
	if err := s.answers(ctx, p, out); err != nil {
		s.end(p, true)
		_ = out.Close()
		return err
	}
	s.process, s.output, s.stopped = p, out, make(chan struct{})
	go s.report(p, out, s.stopped)
	return nil
}

// report says so when postgres ends although nobody asked for it.
func (s *Server) report(p *child.Child, out *logFile, stopped <-chan struct{}) {
	select {
	case <-stopped:
	case <-p.Done():
		select {
		case <-stopped:
		default:
			s.log.Error("PostgreSQL ended by itself", zap.Error(p.Err()), zap.String("log", out.tail()))
		}
	}
}

func (s *Server) arguments(dir string) []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": s.sockets,
		"unix_socket_permissions": "0700",
		"max_connections":         "100",
		"shared_buffers":          "64MB",
		"jit":                     "off", // its library is missing from archives and small statements lose by it
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"log_min_messages":        "warning",
	}
	if s.cfg.Fast {
		for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "autovacuum"} {
			settings[name] = "off"
		}
	}
	maps.Copy(settings, s.cfg.Settings)
	args := []string{"-D", dir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// environment holds none of this process's variables: PG… would change what
// postgres does, and the others may be secrets.
func environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// Done is closed when postgres has ended; nil before Start.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.Done()
}

// Stop shuts PostgreSQL down and returns when it is gone: transactions in
// flight are rolled back at once, and when that takes too long or ctx ends
// postgres is made to end without a checkpoint.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	began := time.Now()
	clean, err := s.halt(ctx)
	s.lock.release()
	s.lock = nil
	s.log.Info("PostgreSQL stopped", zap.Bool("clean", clean), zap.Duration("took", time.Since(began)))
	return err
}

// halt ends what launch has started.
func (s *Server) halt(ctx context.Context) (clean bool, err error) {
	close(s.stopped)
	clean = s.shutdown(ctx)
	err = s.output.Close()
	_ = os.RemoveAll(s.sockets) // only a tidy /tmp
	s.process = nil
	return clean, err
}

// Crash ends PostgreSQL where it stands, without a checkpoint, as a power cut
// would: what it has acknowledged is what the next start finds. Stop is still to
// be called.
func (s *Server) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.end(s.process, false)
	}
}

func (s *Server) shutdown(ctx context.Context) (clean bool) {
	ctx, cancel := context.WithTimeout(ctx, s.wait.fast)
	defer cancel()
	s.process.Signal(syscall.SIGINT)
	select {
	case <-s.process.Done():
		return s.process.Err() == nil
	case <-ctx.Done():
		s.log.Warn("PostgreSQL is slow to stop, ending it at once")
		s.end(s.process, false)
		return false
	}
}

// end stops postgres without a checkpoint; what it leaves is recovered by the
// next start. politely gives it a fast shutdown first.
func (s *Server) end(p *child.Child, politely bool) {
	signals := []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL}
	if politely {
		signals = slices.Insert(signals, 0, syscall.SIGINT)
	}
	for _, sig := range signals {
		p.Signal(sig)
		timer := time.NewTimer(s.wait.kill)
		select {
		case <-p.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
	<-p.Done()
}

// pause waits for d or for the end of ctx, whose cause it then returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
