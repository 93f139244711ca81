package backup

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// A frame is a letter, a length of four bytes and as many bytes. Parts are of unknown
// length when they begin, so that each is a begin, data, and an end that sums it up.
const (
	header   = 'H' // Header, first
	begin    = 'P' // Part
	data     = 'D'
	end      = 'E' // End, of the part
	manifest = 'M' // Manifest, last

	frameMost = 1 << 20 // bytes
	// tablesMost bounds what a reader remembers of a file.
	tablesMost = 1_000
)

type frameWriter struct {
	to   *bufio.Writer
	head [5]byte
}

func (w *frameWriter) write(kind byte, payload []byte) error {
	if len(payload) > frameMost {
		return fmt.Errorf("a part of %d bytes is too large for a backup", len(payload))
	}
	w.head[0] = kind
	binary.BigEndian.PutUint32(w.head[1:], uint32(len(payload)))
	if _, err := w.to.Write(w.head[:]); err != nil {
		return err
	}
	_, err := w.to.Write(payload)
	return err
}

func (w *frameWriter) json(kind byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.write(kind, text)
}

// Write implements io.Writer: data of the part that was begun.
func (w *frameWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		piece := p[:min(len(p), frameMost)]
		if err := w.write(data, piece); err != nil {
			return n, err
		}
		n, p = n+len(piece), p[len(piece):]
	}
	return n, nil
}

type frameReader struct {
	from   *bufio.Reader
	buffer []byte // of the largest frame so far
}

// next gives a frame, which is good until the one after it.
func (r *frameReader) next() (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return 0, nil, fmt.Errorf("%w (%w)", ErrDamaged, err) // a manifest is what ends a backup
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > frameMost {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrDamaged, size)
	}
	if size > len(r.buffer) {
		r.buffer = make([]byte, size)
	}
	if _, err := io.ReadFull(r.from, r.buffer[:size]); err != nil {
		return 0, nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return head[0], r.buffer[:size], nil
}

// take reads a frame of one kind into a value.
func (r *frameReader) take(want byte, value any) error {
	kind, payload, err := r.next()
	if err != nil {
		return err
	}
	if kind != want {
		return fmt.Errorf("%w: %q where %q belongs", ErrDamaged, kind, want)
	}
	return parse(payload, value)
}

func parse(payload []byte, value any) error {
	if err := json.Unmarshal(payload, value); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
