package documents

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// watchEvery is the pause between two looks at a process's memory.
	watchEvery = 25 * time.Millisecond
	// startTime is how long a process may take until it can be asked.
	startTime = 30 * time.Second
	// saidMost bytes of what a process says on its error output are kept, the first ones.
	saidMost = 8 << 10
)

// process is a running reading process.
type process struct {
	wire    *wire
	memory  atomic.Int64 // bytes that it may have
	command *exec.Cmd
	in      io.WriteCloser
	dir     string // its own; it goes with it
	said    *capped
	ended   chan struct{}
	idle    *time.Timer
	once    sync.Once
}

// start runs this very program as a reading process, with an environment that holds
// nothing but what bounds its memory.
func (e *Extractor) start() (*process, error) {
	dir, err := os.MkdirTemp("", "uaol-documents-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, said: &capped{most: saidMost}, ended: make(chan struct{})}
	command := exec.Command(e.program, argument, e.cache, dir)
	command.Dir = dir
	// The collector works harder below the limit; the rest is for PDFium's code and stacks.
	command.Env = []string{"GOMEMLIMIT=" + strconv.FormatInt(e.limits.Memory/4*3, 10), "TMPDIR=" + dir, "TMP=" + dir}
	command.Stderr = p.said
	command.WaitDelay = time.Second
	child(command)
	p.memory.Store(e.limits.Memory)
	p.command = command
	out, in := io.Pipe() // not StdoutPipe: Wait would close that with frames still unread
	command.Stdout = in
	if p.in, err = command.StdinPipe(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.wire = newWire(out, p.in, max(mostPixels*2, e.limits.Text*6+1<<20)) // an image, or a part with everything in it escaped
	started := make(chan error, 1)
	go func() {
		// What a process gets when its parent dies is tied to the thread that started
		// it, so this thread must live as long as the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		if err == nil {
			e.adopt(p)
		}
		if started <- err; err != nil {
			return
		}
		_ = command.Wait()
		e.leave(p)
		_ = in.CloseWithError(io.EOF)
		_ = os.RemoveAll(dir)
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	late := time.AfterFunc(startTime, p.kill)
	defer late.Stop()
	if kind, _, err := p.wire.next(); err != nil || kind != frameReady {
		p.end()
		return nil, fmt.Errorf("it is not ready: %w: %s", err, p.said)
	}
	return p, nil
}

// store writes a file where the process reads it.
func (p *process) store(r io.Reader) (path string, err error) {
	path = filepath.Join(p.dir, "file")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, r)
	return path, errors.Join(err, f.Close())
}

// kill ends the process, once: its number may be another's later.
func (p *process) kill() {
	p.once.Do(func() {
		select {
		case <-p.ended:
		default:
			killAll(p.command)
		}
	})
}

// end kills the process and waits for that: nothing of it is left afterwards.
func (p *process) end() {
	p.kill()
	_ = p.in.Close()
	<-p.ended
}

// capped keeps the first bytes that are written to it.
type capped struct {
	most int

	mu   sync.Mutex
	text []byte
}

func (c *capped) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, b[:min(len(b), c.most-len(c.text))]...)
	return len(b), nil
}

func (c *capped) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}
