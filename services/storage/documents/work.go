package documents

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"

	"uaol/services"
)

// argument begins a reading process's command line. It looks like an option, so that a
// program that does not know it ends at once instead of doing what it usually does.
const argument = "--read-documents"

// IsWork tells whether a program's arguments ask it to be a reading process: then it
// must do nothing but Work.
func IsWork(args []string) bool { return len(args) == 3 && args[0] == argument }

// The exit codes of a reading process.
const (
	exitFine   = 0
	exitBroken = 1 // it could not talk, or a reader panicked
	exitMemory = 3 // it took more memory than it may
)

// Work is the body of a reading process: it reads the files that it is asked for until
// its input ends. The arguments are those that IsWork has seen.
func Work(args []string, stdin io.Reader, stdout io.Writer) int {
	w := &worker{wire: newWire(stdin, stdout, mostImageText), cache: args[1], temp: args[2], frames: make(chan frame)}
	go w.listen()
	if err := w.wire.send(frameReady, nil); err != nil {
		return exitBroken
	}
	for f := range w.frames {
		var r request
		if f.kind != frameFile || json.Unmarshal(f.content, &r) != nil {
			return exitBroken
		}
		if err := w.serve(r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitBroken
		}
	}
	return exitFine
}

// mostImageText is the most bytes of a text that was recognised, and of a request.
const mostImageText = 8 << 20

// worker is a reading process.
type worker struct {
	wire        *wire
	cache, temp string // directories
	frames      chan frame
	pdfium      *pdfEngine
	watching    bool
	preparing   atomic.Bool
}

type frame struct {
	kind    byte
	content []byte
}

// listen takes what the server sends. Where that ends, so does this process, whatever
// it is doing: nobody waits for it.
func (w *worker) listen() {
	for {
		kind, content, err := w.wire.next()
		if err != nil {
			os.Exit(exitFine)
		}
		w.frames <- frame{kind, content}
	}
}

// serve reads one file and tells what came of it. After a defect nothing of this
// process is to be trusted: the error that is returned ends it.
func (w *worker) serve(r request) error {
	w.watch(r.Limits.Memory)
	doc, err := w.read(r)
	if err != nil {
		var known *services.Error
		if !errors.As(err, &known) {
			known = services.Errorf(services.Internal, "The file can't be read here").Because(err)
		}
		f := fault{Kind: known.Kind, Code: known.Code, Message: known.Message}
		if cause := known.Unwrap(); cause != nil {
			f.Cause = cause.Error()
			f.Cause = f.Cause[:min(len(f.Cause), 4<<10)]
		}
		var p panicked
		f.Ends = errors.As(err, &p) || known.Kind == services.Internal
		if said := w.wire.say(frameFault, f); said != nil || f.Ends {
			return err
		}
		return nil
	}
	parts := doc.Parts
	doc.Parts = nil
	if err := w.wire.say(frameHead, doc); err != nil {
		return err
	}
	for part := range slices.Values(parts) {
		if err := w.wire.say(framePart, part); err != nil {
			return err
		}
	}
	return w.wire.send(frameEnd, nil)
}

func (w *worker) read(r request) (Document, error) {
	file, err := os.Open(r.Path)
	if err != nil {
		return Document{}, err
	}
	defer file.Close()
	_ = os.Remove(r.Path) // so that nothing of it stays, however this ends; where that works
	info, err := file.Stat()
	if err != nil {
		return Document{}, err
	}
	told := time.Time{}
	x := &extraction{
		file: file, size: info.Size(), name: r.Name, limits: r.Limits, temp: w.temp, noReader: r.NoReader, engine: w.engine,
		progress: func(done, total int) {
			if done == total || time.Since(told) > 50*time.Millisecond {
				told = time.Now()
				_ = w.wire.say(frameProgress, progress{done, total})
			}
		},
	}
	if r.NoReader == "" {
		x.read = w.recognize
	}
	return x.run()
}

// recognize asks the server, which has a Reader.
func (w *worker) recognize(png []byte) (string, error) {
	if err := w.wire.send(frameImage, png); err != nil {
		return "", err
	}
	f := <-w.frames
	var said recognized
	if f.kind != frameText {
		return "", fmt.Errorf("%q instead of a text", f.kind)
	}
	if err := json.Unmarshal(f.content, &said); err != nil {
		return "", err
	}
	if said.Fault != "" {
		return "", errors.New(said.Fault)
	}
	return said.Text, nil
}

func (w *worker) engine() (*pdfEngine, error) {
	if w.pdfium == nil {
		// The first time ever, this takes more memory than many files may.
		if err := w.wire.send(framePrepare, nil); err != nil {
			return nil, err
		}
		most := debug.SetMemoryLimit(math.MaxInt64)
		w.preparing.Store(true)
		engine, err := newPDFEngine(filepath.Clean(w.cache), wasmMost)
		debug.SetMemoryLimit(most)
		debug.FreeOSMemory()
		w.preparing.Store(false)
		if err != nil {
			return nil, err
		}
		w.pdfium = engine
		if err := w.wire.send(framePrepared, nil); err != nil {
			return nil, err
		}
	}
	return w.pdfium, nil
}

// wasmMost is the most memory PDFium may ask for, in bytes; what it may really have is
// the process's own limit.
const wasmMost = 2 << 30

// watch ends this process when it takes too much, on systems where its parent can't
// see that.
func (w *worker) watch(most int64) {
	if w.watching || runtime.GOOS == "linux" {
		return
	}
	w.watching = true
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		for range time.Tick(watchEvery) {
			metrics.Read(sample)
			if used := int64(sample[0].Value.Uint64() - sample[1].Value.Uint64()); used > most && (!w.preparing.Load() || used > preparing) {
				os.Exit(exitMemory)
			}
		}
	}()
}
