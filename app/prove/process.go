package prove

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"uaol/providers/postgres/embedded/child"
)

// fleet is the worker processes: each of them whole, all on one database.
type fleet struct {
	program []string // and its first arguments
	env     []string
	dir     string

	mu     sync.Mutex
	places []*process // one that has died is replaced in its place
}

// process is one of them.
type process struct {
	place int
	base  string // where it is reached
	child *child.Child
}

// start starts a process in a place and returns when it can be reached.
func (f *fleet) start(ctx context.Context, place int) error {
	dir := filepath.Join(f.dir, fmt.Sprintf("worker-%d", place))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(f.program[0], append(f.program[1:], "serve")...)
	cmd.Dir = dir // where no .env is read
	cmd.Env = append(f.env, "HOME="+dir, "UAOL_DATA_DIR="+filepath.Join(dir, "data"))
	output, input, err := os.Pipe()
	if err != nil {
		return errors.Join(err, log.Close())
	}
	cmd.Stderr = input
	c, err := child.Start(cmd, nil, syscall.SIGKILL)
	_ = input.Close()
	if err != nil {
		return errors.Join(err, output.Close(), log.Close())
	}
	p := &process{place: place, child: c}
	listening := make(chan string, 1)
	go func() {
		defer log.Close()
		defer output.Close()
		defer close(listening)
		lines := bufio.NewReader(io.TeeReader(output, log))
		for {
			line, err := lines.ReadBytes('\n')
			var said struct{ Message, Address string }
			if json.Unmarshal(line, &said) == nil && said.Message == "listening" && said.Address != "" {
				select {
				case listening <- said.Address:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case address, ok := <-listening:
		if !ok {
			c.Kill()
			<-c.Done()
			return fmt.Errorf("a worker process did not start: see %s", log.Name())
		}
		p.base = "http://" + address
	case <-ctx.Done():
		c.Kill()
		<-c.Done()
		return context.Cause(ctx)
	}
	f.mu.Lock()
	f.places[place] = p
	f.mu.Unlock()
	return nil
}

// alive lists the processes that were started and not killed.
func (f *fleet) alive() (all []*process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.places {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// byPID finds a living process.
func (f *fleet) byPID(pid int) *process {
	for _, p := range f.alive() {
		if p.child.Pid() == pid {
			return p
		}
	}
	return nil
}

// kill ends a process with SIGKILL and waits until it is gone.
func (f *fleet) kill(p *process) {
	f.mu.Lock()
	if f.places[p.place] == p {
		f.places[p.place] = nil
	}
	f.mu.Unlock()
	p.child.Kill()
	<-p.child.Done()
}

func (f *fleet) close() {
	for _, p := range f.alive() {
		f.kill(p)
	}
}
