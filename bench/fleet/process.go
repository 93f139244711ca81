package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs until it is stopped or dies.
type Process struct {
	Name    string
	program string
	args    []string
	env     []string
	dir     string // in which it is started, if not in ours
	group   bool   // what it has started ends with it
	log     string // file that its output is added to
	ready   string // URL that answers 200 once it serves; or host:port that is listened on
	admin   string // where it tells how it is, when it was asked to

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

// startsWithin is how long a process may take until it serves, on a busy machine.
const startsWithin = 90 * time.Second

// Start runs it and waits until it serves.
func (p *Process) Start(ctx context.Context) error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() // the process has its own
	cmd := exec.Command(p.program, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, out, out
	cmd.SysProcAttr = dieWithParent()
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	started := make(chan error, 1)
	go supervise(cmd, started, func(err error) {
		if p.group { // before its number can be another's
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		p.err = err
		close(ended)
	})
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	for !p.Ready(ctx) {
		select {
		case <-ended:
			return fmt.Errorf("%s ended instead of starting: %w; see %s", p.Name, p.err, p.log)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not serve after %s; see %s", p.Name, startsWithin, p.log), p.Kill())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Ready reports whether it serves.
func (p *Process) Ready(ctx context.Context) bool {
	if p.ready == "" {
		return true
	}
	if _, _, err := net.SplitHostPort(p.ready); err == nil {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", p.ready)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.ready, nil)
	if err != nil {
		return false
	}
	request.Close = true
	answer, err := probe.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

var probe = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Stop tells it to end and waits for that; took is how long it needed.
func (p *Process) Stop() (took time.Duration, err error) {
	begun := time.Now()
	if err := p.signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-p.ended:
		return time.Since(begun), p.err
	case <-time.After(time.Minute):
		return time.Since(begun), errors.Join(fmt.Errorf("%s does not end", p.Name), p.Kill())
	}
}

// Kill ends it as a crash does, and waits for that.
func (p *Process) Kill() error {
	if p.Pid() == 0 {
		return nil
	}
	err := p.signal(syscall.SIGKILL)
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Pid is 0 when it does not run.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *Process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return fmt.Errorf("%s does not run", p.Name)
	}
	if p.group {
		select {
		case <-p.ended:
			return os.ErrProcessDone
		default:
			return syscall.Kill(-p.cmd.Process.Pid, s)
		}
	}
	return p.cmd.Process.Signal(s)
}

// Ended is closed when it has.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}
