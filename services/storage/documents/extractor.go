package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uaol/services"
)

// preparing is the most memory, in bytes, that a process may have while it compiles
// PDFium: a third of it, and thrice that under the race detector.
const preparing = 1 << 30

// idleTime is how long a process waits for another file before it is ended.
const idleTime = 5 * time.Minute

// Extractor has files read. It costs nothing before the first one.
type Extractor struct {
	cfg     Config
	limits  limits
	program string // what to run: this one
	cache   string // directory for PDFium, compiled
	log     *zap.Logger
	places  chan struct{}
	idleFor time.Duration

	meter    *meter // nil where nobody counts
	reader   Reader
	noReader string
	find     sync.Once

	mu     sync.Mutex
	live   map[*process]struct{}
	idle   []*process // of these
	closed bool
}

// New makes an Extractor that keeps what it may keep below the data directory. The
// program that uses it must begin with IsWork and Work.
func New(cfg Config, dataDir string, log *zap.Logger) *Extractor {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	return &Extractor{
		cfg: cfg, limits: cfg.limits(), program: program, cache: filepath.Join(dataDir, "cache", "pdfium"), log: log,
		places: make(chan struct{}, max(cfg.Processes, 1)), idleFor: idleTime,
		live: map[*process]struct{}{},
	}
}

// Use has images read by a reader instead of by tesseract. It must be called before
// any file is read.
func (e *Extractor) Use(reader Reader) { e.reader = reader }

// Close ends the processes. Files that are being read end with an error.
func (e *Extractor) Close() {
	e.mu.Lock()
	e.closed = true
	live := slices.Collect(maps.Keys(e.live))
	for _, p := range e.idle {
		p.idle.Stop()
	}
	e.idle = nil
	e.mu.Unlock()
	for _, p := range live {
		p.end()
	}
}

// adopt notes a process that has started; after Close none may run.
func (e *Extractor) adopt(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live[p] = struct{}{}; e.closed {
		p.kill()
	}
}

func (e *Extractor) leave(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.live, p)
}

func (e *Extractor) ending() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *Extractor) perform(ctx context.Context, r io.Reader, filename string, progress func(done, total int)) (Document, error) {
	select {
	case e.places <- struct{}{}:
		defer func() { <-e.places }()
	case <-ctx.Done():
		return Document{}, ctx.Err()
	}
	e.find.Do(e.findReader)
	p, err := e.take()
	if err != nil {
		return Document{}, services.Errorf(services.Unavailable, "Files can't be read just now; try again later").Because(err)
	}
	path, err := p.store(r)
	if err != nil {
		p.end()
		return Document{}, services.Errorf(services.Unavailable, "The file can't be read just now; try again later").Because(err)
	}
	j := &job{e: e, p: p, progress: progress, began: time.Now()}
	doc, err := j.run(ctx, request{Path: path, Name: filename, Limits: e.limits, NoReader: e.noReader})
	_ = os.Remove(path)
	if j.unfit {
		p.end()
	} else {
		e.give(p)
	}
	return doc, err
}

// take gives a process, one that waits or a new one.
func (e *Extractor) take() (*process, error) {
	for {
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			return nil, errors.New("the server is ending")
		}
		if len(e.idle) == 0 {
			e.mu.Unlock()
			return e.start()
		}
		p := e.idle[len(e.idle)-1]
		e.idle = e.idle[:len(e.idle)-1]
		e.mu.Unlock()
		if p.idle.Stop() {
			select {
			case <-p.ended: // it died while it waited
			default:
				return p, nil
			}
		}
	}
}

// give lets a process wait for another file.
func (e *Extractor) give(p *process) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		p.end()
		return
	}
	p.idle = time.AfterFunc(e.idleFor, func() {
		e.mu.Lock()
		e.idle = slices.DeleteFunc(e.idle, func(other *process) bool { return other == p })
		e.mu.Unlock()
		p.end()
	})
	e.idle = append(e.idle, p)
	e.mu.Unlock()
}

// job is the reading of one file, seen from the server.
type job struct {
	e        *Extractor
	p        *process
	progress func(done, total int)
	began    time.Time
	unfit    bool // the process can't be used again
	large    atomic.Bool
}

func (j *job) run(ctx context.Context, r request) (Document, error) {
	timed, cancel := context.WithTimeout(ctx, j.e.cfg.Timeout)
	defer cancel()
	unhook := context.AfterFunc(timed, j.p.kill)
	watched := make(chan struct{})
	go j.watch(timed, watched)
	doc, err := j.talk(timed, r)
	stopped := unhook()
	cancel()
	<-watched
	if !stopped || j.large.Load() {
		j.unfit = true
	}
	var known *services.Error
	switch {
	case err == nil || errors.As(err, &known):
		return doc, err
	case ctx.Err() != nil:
		return Document{}, ctx.Err()
	case j.large.Load():
		return Document{}, tooLarge("Reading this file takes more than %d MB of memory; split it and upload its parts", j.e.cfg.MemoryMB)
	case errors.Is(timed.Err(), context.DeadlineExceeded):
		return Document{}, services.Errorf(services.Invalid, "Reading this file takes longer than %s; split it and upload its parts", j.e.cfg.Timeout).WithCode(CodeTimeout)
	}
	j.p.end()
	if j.e.ending() {
		return Document{}, services.Errorf(services.Unavailable, "The server is ending; try again later")
	}
	if state := j.p.command.ProcessState; state != nil && state.ExitCode() == exitMemory {
		return Document{}, tooLarge("Reading this file takes more than %d MB of memory; split it and upload its parts", j.e.cfg.MemoryMB)
	}
	j.e.log.Warn("a process that read a file has died", zap.Error(err), zap.Stringer("state", j.p.command.ProcessState), zap.Stringer("said", j.p.said))
	return Document{}, damaged("file", err)
}

// watch kills the process when it takes too much memory.
func (j *job) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		used, ok := resident(j.p.command.Process.Pid)
		if !ok {
			return
		}
		if used > j.p.memory.Load() {
			j.large.Store(true)
			j.p.kill()
			return
		}
	}
}

// talk asks the process and answers it until it has read the file. What it says is
// not to be trusted either: it is counted.
func (j *job) talk(ctx context.Context, r request) (doc Document, err error) {
	j.unfit = true // until it has said its last word
	if err := j.p.wire.say(frameFile, r); err != nil {
		return doc, err
	}
	read, size := false, 0
	for {
		kind, content, err := j.p.wire.next()
		if err != nil {
			return Document{}, err
		}
		switch kind {
		case frameProgress:
			var p progress
			if err = json.Unmarshal(content, &p); err == nil && j.progress != nil {
				j.progress(p.Done, p.Total)
			}
		case framePrepare:
			j.p.memory.Store(max(j.e.limits.Memory, preparing))
		case framePrepared:
			j.p.memory.Store(j.e.limits.Memory)
		case frameImage:
			err = j.p.wire.say(frameText, j.recognize(ctx, content))
		case frameHead:
			read, err = true, json.Unmarshal(content, &doc)
		case framePart:
			var part Part
			err = json.Unmarshal(content, &part)
			if size += len(part.Text); size > 2*j.e.limits.Text || !read {
				err = errors.New("it says more than it may")
			}
			doc.Parts = append(doc.Parts, part)
		case frameEnd:
			j.unfit = false
			return doc, nil
		case frameFault:
			var f fault
			if err = json.Unmarshal(content, &f); err == nil {
				return Document{}, j.fault(f)
			}
		default:
			err = fmt.Errorf("it says %q", kind)
		}
		if err != nil {
			return Document{}, err
		}
	}
}

// fault is an error as the process tells it.
func (j *job) fault(f fault) error {
	if j.unfit = f.Ends; f.Ends {
		j.e.log.Error("a file can't be read, by a defect here", zap.String("cause", f.Cause))
	}
	err := services.Errorf(f.Kind, "%s", f.Message)
	if f.Code != "" {
		err = err.WithCode(f.Code)
	}
	if f.Cause != "" {
		err = err.Because(errors.New(f.Cause))
	}
	return err
}

func (j *job) recognize(ctx context.Context, png []byte) recognized {
	// A page that takes long must not cost what was read of the others.
	ctx, cancel := context.WithDeadline(ctx, j.began.Add(j.e.cfg.Timeout/10*9))
	defer cancel()
	text, err := j.e.reader.Read(ctx, png)
	if err != nil {
		j.e.log.Info("an image could not be recognised", zap.Error(err))
		if ctx.Err() != nil {
			err = errors.New("it took too long")
		}
		return recognized{Fault: err.Error()}
	}
	return recognized{Text: text[:min(len(text), mostImageText/8)]}
}
