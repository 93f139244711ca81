// Package child runs programs that must not outlive this process, as another
// user where this process is root.
package child

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// drain is how long a child's output is still read after it ended: its own
// children may hold the other end of the pipe for a moment.
const drain = 2 * time.Second

// Child is a program that was started and will be waited for.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts cmd in a process group of its own, so that Ctrl-C in a terminal
// reaches only this process. When this process dies in whatever way, the child
// gets the signal last. A nil user means the user of this process.
func Start(cmd *exec.Cmd, as *User, last syscall.Signal) (*Child, error) {
	cmd.SysProcAttr = attributes(as, last)
	cmd.WaitDelay = drain
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go c.run(started, last)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// run forks and waits on one thread that nothing else uses: Linux sends the
// parent-death signal when the forking thread ends, not the process (prctl(2)).
func (c *Child) run(started chan<- error, last syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := c.cmd.Start(); err != nil {
		started <- err
		return
	}
	release, err := guard(c.cmd.Process.Pid, last)
	if err != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		started <- err
		return
	}
	started <- nil
	c.err = c.cmd.Wait()
	release()
	close(c.done)
}

// Pid is the child's process id.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended and was waited for.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err says how the child ended; it is valid once Done is closed.
func (c *Child) Err() error { return c.err }

// Signal sends sig to the child alone; a child that has ended is left in peace.
func (c *Child) Signal(sig syscall.Signal) { _ = c.cmd.Process.Signal(sig) }

// Kill ends the child and everything in its process group.
func (c *Child) Kill() {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(-c.Pid(), syscall.SIGKILL)
	}
}

// Run runs cmd to its end, or kills its process group when ctx ends.
func Run(ctx context.Context, cmd *exec.Cmd, as *User) error {
	c, err := Start(cmd, as, syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-c.Done():
		return c.Err()
	case <-ctx.Done():
		c.Kill()
		<-c.Done()
		return errors.Join(context.Cause(ctx), c.Err())
	}
}
