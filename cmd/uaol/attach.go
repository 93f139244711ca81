package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

var errNoServer = errors.New("no server runs on the data directory")

// mostFailures of a start are looked past: another server may be about to start.
const mostFailures = 3

// attach gives a client of the data directory's server. With start it starts one where
// none runs, and waits for one that somebody else has started, for as long as ctx lasts:
// the server goes on to start all the same.
func (l local) attach(ctx context.Context, key string, start bool) (*client, error) {
	c, err := l.attached(ctx, key, start)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("the server is not ready yet, try again; %s says more", shown(l.place.Log()))
	}
	return c, err
}

func (l local) attached(ctx context.Context, key string, start bool) (*client, error) {
	for failures := 0; ; {
		c, err := l.running(ctx, key)
		var other otherError
		if c != nil || err != nil && !errors.As(err, &other) { // one of another directory may have the usual port
			return c, err
		}
		if err := l.mayStart(); err != nil {
			return nil, err
		}
		if !start {
			return nil, errNoServer
		}
		ended, err := l.launch()
		if err == nil {
			err = l.place.Await(ctx, ended)
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-ended:
			if failures++; failures == mostFailures {
				return nil, fmt.Errorf("no server can be started: %s", lastLine(l.place.Log()))
			}
		default:
		}
	}
}

// launch starts a server that belongs to nobody, if nobody else does: it inherits the
// seat, so that whatever becomes of this process there is never a second one. ended is
// nil where somebody else has the seat.
func (l local) launch() (ended <-chan struct{}, err error) {
	seat, err := l.place.TryTake()
	if err != nil || seat == nil {
		return nil, err
	}
	defer seat.Pass()
	log, err := openLog(l.place.Log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	server := exec.Command(self, "serve", "--seat", "3") // the first of ExtraFiles
	server.Env = append(server.Environ(), "UAOL_DATA_DIR="+l.dir)
	server.Stdout, server.Stderr, server.ExtraFiles = log, log, []*os.File{seat.File()}
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // whoever ends us and our like does not end it
	if err := server.Start(); err != nil {
		return nil, err
	}
	l.say("uaol mcp: started a server on %s (pid %d), which logs to %s", shown(l.dir), server.Process.Pid, shown(l.place.Log()))
	over := make(chan struct{})
	go func() {
		_ = server.Wait() // its log says why
		close(over)
	}()
	return over, nil
}

const longestLog = 1 << 20 // bytes; then the next server's start begins it anew

func openLog(path string) (*os.File, error) {
	how := os.O_WRONLY | os.O_CREATE | os.O_APPEND | syscall.O_NOFOLLOW
	if info, err := os.Stat(path); err == nil && info.Size() > longestLog {
		how |= os.O_TRUNC
	}
	return os.OpenFile(path, how, 0o600)
}

// lastLine is the last that a program said for people.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	last := "it does not say why"
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '{' {
			last = strings.TrimPrefix(line, "uaol: ")
		}
	}
	return last
}
