package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/zap"

	"uaol/services"
)

// How a process ends: its input is closed, then it is asked, then it is killed
// with all that it has started.
const (
	askAfter  = 2 * time.Second
	killAfter = 5 * time.Second
)

// Bounds of what a process may do to us.
const (
	longestLine  = 500              // bytes of a line of its errors that reach the log
	firstRestart = time.Second      // pause after it died by itself; doubles each time
	lastRestart  = time.Minute      //
	steadyAfter  = 30 * time.Second // a process that lived so long starts counting anew
)

// processes are the stdio tools' processes.
type processes struct {
	log    *zap.Logger
	places chan struct{}
	// inherit looks a variable of our own environment up.
	inherit func(name string) (string, bool)

	mu   sync.Mutex
	dead map[string]death // by what ran
}

// death is how often a command's process has died by itself, and when it may be
// started again.
type death struct {
	times int
	until time.Time
}

func newProcesses(log *zap.Logger, limits Limits) *processes {
	return &processes{
		log: log, places: make(chan struct{}, limits.Processes), dead: map[string]death{},
		inherit: func(string) (string, bool) { return "", false },
	}
}

// Inherit says where stdio tools' processes get those variables from that they
// are given of ours. Without it they get none. It must be called before any call.
func (c *Client) Inherit(lookup func(name string) (string, bool)) { c.processes.inherit = lookup }

// brokenError wraps what became of a request whose process is gone: it is not
// known to have been left undone, as with goneError.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// processOf tells processes apart by what they run and with what, without
// showing it.
func processOf(target Target) string {
	what, err := json.Marshal([]any{target.ToolID, target.Command, target.Env, target.Identity})
	if err != nil {
		return "" // its parts can always be written
	}
	sum := sha256.Sum256(what)
	return hex.EncodeToString(sum[:])
}

func (c *Client) openStdio(ctx context.Context, key sessionKey, target Target, options *mcp.ClientSessionOptions, stop context.CancelFunc) (session, error) {
	p, err := c.processes.start(target)
	if err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(ctx, p.kill) // while the session opens, and if it can't
	s := &tapped{tap: newTap(c.limits.MaxAnswer, ctx), gone: p.ended, stop: func() {
		unhook()
		p.end()
		stop()
	}}
	s.headers.Store(&target.Headers)
	s.tap.piped = true
	s.tap.through = &mcp.IOTransport{
		Reader: cappedBody{p.out, s.tap.stream}, Writer: p.in, MaxLineLength: int(c.limits.MaxAnswer),
	}
	if err := s.connect(ctx, key.can, options); err != nil {
		p.kill()
		<-p.done
		if ctx.Err() == nil {
			err = garbage("its process does not open an MCP session").Because(err)
		}
		return nil, err
	}
	if s.offers.Version < stateless {
		c.eras.Set(key.server(), struct{}{})
	}
	return s, nil
}

// process is a running stdio tool.
type process struct {
	all     *processes
	what    string
	command *exec.Cmd
	home    string
	in      io.WriteCloser
	out     io.ReadCloser
	begun   time.Time
	done    chan struct{} // closed when it has ended
	leave   func()        // gives its place and its directory back

	mu      sync.Mutex
	closing bool
	err     error
}

// start runs a tool's command with none of our environment but what is listed.
func (all *processes) start(target Target) (*process, error) {
	what := processOf(target)
	if err := all.rested(what); err != nil {
		return nil, err
	}
	select {
	case all.places <- struct{}{}:
	default:
		return nil, services.Errorf(services.Unavailable, "As many tools' processes run as may; try again later").WithCode(CodeBusy)
	}
	home, err := os.MkdirTemp("", "uaol-tool-")
	if err != nil {
		<-all.places
		return nil, services.Errorf(services.Unavailable, "The tool's process can't be started").WithCode(CodeUnreachable).Because(err)
	}
	p := &process{all: all, what: what, home: home, begun: time.Now(), done: make(chan struct{})}
	p.leave = sync.OnceFunc(func() {
		_ = os.RemoveAll(home)
		<-all.places
	})
	if err := p.run(target); err != nil {
		p.leave()
		return nil, services.Errorf(services.Unavailable, "The tool's process can't be started: %s", startReason(err)).WithCode(CodeUnreachable).Because(err)
	}
	return p, nil
}

func startReason(err error) string {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return "there is no such program"
	case errors.Is(err, os.ErrPermission):
		return "the program may not be run"
	default:
		return "it does not start"
	}
}

func (p *process) run(target Target) error {
	path, err := exec.LookPath(target.Command.Path)
	if err != nil {
		return err
	}
	command := exec.Command(path, target.Command.Args...) // its end is ours to choose
	if command.Env, err = p.environment(target); err != nil {
		return err
	}
	if command.Dir = target.Command.Dir; command.Dir == "" {
		if command.Dir = filepath.Join(p.home, "work"); os.Mkdir(command.Dir, 0o700) != nil {
			return os.ErrPermission
		}
	}
	ownGroup(command)
	stderr := &lines{log: p.all.log.With(zap.Stringer("tool_id", target.ToolID))}
	command.Stderr = stderr
	command.WaitDelay = time.Second // grandchildren may keep its pipes open
	p.command = command
	if p.in, err = command.StdinPipe(); err != nil {
		return err
	}
	out, in := io.Pipe() // not StdoutPipe: Wait would close that with lines still unread
	command.Stdout, p.out = in, out
	started := make(chan error, 1)
	go func() {
		// What a process gets when its parent dies is tied to the thread that
		// started it, so this thread must live as long as the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		err = command.Wait()
		killGroup(command) // what it has left behind
		stderr.flush()
		_ = in.CloseWithError(io.EOF)
		p.ending(err)
	}()
	return <-started
}

// environment is what a process may know: PATH and LANG of ours, a home of its
// own, what the command names and what the tool's definition injects.
func (p *process) environment(target Target) ([]string, error) {
	temporary := filepath.Join(p.home, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return nil, err
	}
	env := []string{"HOME=" + p.home, "TMPDIR=" + temporary}
	for _, name := range append([]string{"PATH", "LANG"}, target.Command.Env...) {
		if value, ok := p.all.inherit(name); ok && name != "HOME" && name != "TMPDIR" {
			env = append(env, name+"="+value)
		}
	}
	return append(env, target.Env...), nil
}

// ending is told that the process has ended.
func (p *process) ending(err error) {
	p.mu.Lock()
	closing := p.closing
	if p.err = err; err == nil {
		p.err = errors.New("it ended")
	}
	p.mu.Unlock()
	if !closing {
		p.all.died(p.what, time.Since(p.begun))
		p.all.log.Info("a tool's process has ended by itself", zap.Error(err))
	}
	p.leave()
	close(p.done)
}

// ended says why the process is gone; nil while it runs.
func (p *process) ended() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// end ends the process as politely as it lets us.
func (p *process) end() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	_ = p.in.Close()
	_ = p.out.Close()
	for _, step := range []struct {
		after time.Duration
		do    func()
	}{{askAfter, func() { askGroup(p.command) }}, {killAfter - askAfter, p.kill}} {
		patience := time.NewTimer(step.after)
		select {
		case <-p.done:
			patience.Stop()
			return
		case <-patience.C:
			step.do()
		}
	}
	<-p.done
}

func (p *process) kill() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	_ = p.out.Close()
	killGroup(p.command)
}

// rested refuses to start again what keeps dying.
func (all *processes) rested(what string) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	d := all.dead[what]
	if wait := time.Until(d.until); wait > 0 {
		return services.Errorf(services.Unavailable, "The tool's process has ended by itself %d times; it is started again in %d s", d.times, int(wait/time.Second)+1).
			WithCode(CodeCircuitOpen)
	}
	return nil
}

func (all *processes) died(what string, lived time.Duration) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if len(all.dead) > remembered {
		clear(all.dead)
	}
	d := all.dead[what]
	if lived >= steadyAfter {
		d = death{}
	}
	d.times++
	if d.times > 1 { // once may happen to anybody
		d.until = time.Now().Add(min(firstRestart<<min(d.times-2, 10), lastRestart))
	}
	all.dead[what] = d
}

// lines writes what a process says to the log, each line by itself.
type lines struct {
	log  *zap.Logger
	mu   sync.Mutex
	line []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := bufio.NewReader(bytes.NewReader(p))
	for {
		part, err := said.ReadSlice('\n')
		l.line = append(l.line, part[:min(len(part), longestLine-min(len(l.line), longestLine))]...)
		switch {
		case err == nil:
			l.say()
		case !errors.Is(err, bufio.ErrBufferFull):
			return len(p), nil
		}
	}
}

func (l *lines) say() {
	if text := strings.TrimSpace(presentable(string(l.line))); text != "" {
		l.log.Debug("a tool's process says", zap.String("line", text))
	}
	l.line = l.line[:0]
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say()
}
