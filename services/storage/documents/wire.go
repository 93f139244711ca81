package documents

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"uaol/services"
)

// What the server and the reading process send each other: a byte that says what it
// is, the length of what follows in four bytes, and that.
const (
	frameReady    = 'r' // the process can be asked
	frameFile     = 'f' // a request
	framePrepare  = 'c' // it compiles what reads the file, which takes memory that is not the file's
	framePrepared = 'o' // it has
	frameProgress = 'p' // progress
	frameImage    = 'i' // an image to recognise, as PNG
	frameText     = 't' // recognised
	frameHead     = 'd' // a Document without parts: it has been read
	framePart     = 'a' // a Part, one after the other after that
	frameEnd      = 'e' // that was all of it
	frameFault    = 'x' // fault: it could not be read
)

// request asks for a file to be read.
type request struct {
	Path   string `json:"path"`
	Name   string `json:"name"`
	Limits limits `json:"limits"`
	// NoReader is why no images are recognised; empty when they are.
	NoReader string `json:"no_reader,omitempty"`
}

type progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

type recognized struct {
	Text  string `json:"text"`
	Fault string `json:"fault,omitempty"`
}

// fault is an error that crosses from one process to the other.
type fault struct {
	Kind    services.Kind `json:"kind"`
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Cause   string        `json:"cause,omitempty"`
	Ends    bool          `json:"ends,omitempty"` // it is a defect, and the process ends
}

// wire is one end of the pipes between the two.
type wire struct {
	in   *bufio.Reader
	most int // bytes of a frame

	mu  sync.Mutex
	out io.Writer
}

func newWire(in io.Reader, out io.Writer, most int) *wire {
	return &wire{in: bufio.NewReaderSize(in, 64<<10), out: out, most: most}
}

func (w *wire) send(kind byte, content []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content)))
	if _, err := w.out.Write(head); err != nil {
		return err
	}
	_, err := w.out.Write(content)
	return err
}

func (w *wire) say(kind byte, what any) error {
	content, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return w.send(kind, content)
}

func (w *wire) next() (kind byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if int64(size) > int64(w.most) {
		return 0, nil, fmt.Errorf("a message of %d bytes, more than the %d that are taken", size, w.most)
	}
	content = make([]byte, size)
	_, err = io.ReadFull(w.in, content)
	return head[0], content, err
}
