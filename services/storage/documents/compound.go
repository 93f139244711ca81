package documents

import (
	"errors"
	"io"
	"math"
	"strings"

	"github.com/richardlehane/mscfb"
)

const (
	// mostDirectory is the most bytes of a container's directory, 128 for each object in
	// it: mscfb keeps every object's path, so that objects within objects take its square.
	mostDirectory = 512 << 10
	// chunk is how much of a stream is read at once: mscfb joins a read's sectors in a
	// time that is the square of their number.
	chunk = 64 << 10
)

// compound is a container of streams, as Office 97 to 2003 has them ([MS-CFB]).
type compound struct {
	streams map[string]*mscfb.File // of the root, by their name in lower case: case means nothing
	size    int64                  // of the file
	most    int64
	left    int64 // bytes that may still be read
}

// directoryGuard counts the sectors that are read to find out what is in a container.
type directoryGuard struct {
	io.ReaderAt
	left int64
}

var errDirectory = errors.New("the directory is too large")

func (g *directoryGuard) ReadAt(p []byte, at int64) (int, error) {
	if len(p) >= 512 { // else it is a place in the table of sectors, which mscfb bounds
		if g.left -= int64(len(p)); g.left < 0 {
			return 0, errDirectory
		}
	}
	return g.ReaderAt.ReadAt(p, at)
}

func (x *extraction) openCompound() (*compound, error) {
	guard := &directoryGuard{x.file, mostDirectory}
	r, err := mscfb.New(guard)
	if guard.left < 0 {
		return nil, tooLarge("This file holds more than %d objects; remove some, or save it as .docx or .xlsx", mostDirectory/128)
	}
	if err != nil {
		return nil, err
	}
	guard.left = math.MaxInt64
	c := &compound{streams: map[string]*mscfb.File{}, size: x.size, most: x.limits.Unpacked, left: x.limits.Unpacked}
	for i, f := range r.File {
		name := strings.ToLower(f.Name)
		if _, twice := c.streams[name]; i > 0 && len(f.Path) == 0 && !twice {
			c.streams[name] = f
		}
	}
	return c, nil
}

func (c *compound) has(name string) bool { return c.streams[strings.ToLower(name)] != nil }

// stream is the whole of one; empty when there is none of that name.
func (c *compound) stream(name string) ([]byte, error) {
	f := c.streams[strings.ToLower(name)]
	if f == nil {
		return nil, nil
	}
	if f.Size > c.size { // else sectors that follow each other in a circle would go on for long
		return nil, errors.New("a stream is longer than its file")
	}
	if c.left -= f.Size; c.left < 0 {
		return nil, tooLarge("This file has more than %d MB; split it and upload its parts", c.most>>20)
	}
	content := make([]byte, f.Size)
	for rest := content; len(rest) > 0; {
		part := rest[:min(chunk, len(rest))]
		if _, err := io.ReadFull(f, part); err != nil {
			return nil, err
		}
		rest = rest[len(part):]
	}
	return content, nil
}

// scanner reads numbers out of bytes, the least significant first. Beyond their end it
// gives zeros, and err says so.
type scanner struct {
	data []byte
	err  error
}

func (s *scanner) bytes(n int) []byte {
	if n < 0 || n > len(s.data) {
		s.data, s.err = nil, io.ErrUnexpectedEOF
		return nil
	}
	part := s.data[:n]
	s.data = s.data[n:]
	return part
}

func (s *scanner) number(n int) (value uint32) {
	for i, b := range s.bytes(n) {
		value |= uint32(b) << (8 * i)
	}
	return value
}

func (s *scanner) u8() uint8   { return uint8(s.number(1)) }
func (s *scanner) u16() uint16 { return uint16(s.number(2)) }
func (s *scanner) u32() uint32 { return s.number(4) }

// part is a part of bytes that something tells the place of.
func part(data []byte, from, size int64) ([]byte, error) {
	if from < 0 || size < 0 || from > int64(len(data)) || size > int64(len(data))-from {
		return nil, io.ErrUnexpectedEOF
	}
	return data[from : from+size], nil
}
