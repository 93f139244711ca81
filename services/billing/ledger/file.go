package ledger

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
)

// longestLine bounds what a damaged file can make us keep in memory.
const longestLine = 16 << 20

type file struct {
	open func() (io.ReadCloser, error)
}

// File gives the books of an export; they are compressed if the name ends in .gz.
func File(path string) Source {
	return file{open: func() (io.ReadCloser, error) {
		raw, err := os.Open(path)
		if err != nil || !strings.HasSuffix(path, ".gz") {
			return raw, err
		}
		plain, err := gzip.NewReader(raw)
		if err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		return struct {
			io.Reader
			io.Closer
		}{plain, raw}, nil
	}}
}

// Read implements Source. A file that was cut off or changed gives an error, at
// its end at the latest.
func (f file) Read(ctx context.Context, to Reader) error {
	raw, err := f.open()
	if err != nil {
		return fmt.Errorf("the export cannot be read: %w", err)
	}
	defer func() { _ = raw.Close() }()
	r := &exportReader{to: to}
	lines, sum := bufio.NewReaderSize(raw, 1<<16), sha256.New()
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return errors.New("the export ends too early: it was cut off")
		}
		if err != nil {
			return fmt.Errorf("line %d of the export: %w", n, err)
		}
		end, err := r.line(text)
		if err != nil {
			return fmt.Errorf("line %d of the export: %w", n, err)
		}
		if end == nil {
			sum.Write(text)
			continue
		}
		if r.seen.SHA256 = sum.Sum(nil); !r.ended(text) {
			return errors.New("the export is not as it was written: its last line counts other lines")
		}
		if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
			return errors.New("the export goes on after its end")
		}
		return nil
	}
}

// readLine gives a line with its end; io.EOF when there is no whole one.
func readLine(from *bufio.Reader) (line []byte, err error) {
	for {
		part, err := from.ReadSlice('\n')
		if len(line)+len(part) > longestLine {
			return nil, errors.New("it is too long")
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// exportReader judges the order of the lines, and hands on what they say.
type exportReader struct {
	to      Reader
	stage   int // how far the file, or the organisation, has come
	current *uuid.UUID
	seen    exportEnd
}

// The stages, in their order. With an organisation it goes back to stageBooks.
const (
	stageStart = iota
	stageBooks
	stageRanges
	stageSpenders
	stageEntries
	stageHolds
	stageSeals
)

var errOrder = errors.New("it stands in the wrong place")

func (r *exportReader) line(text []byte) (end *exportEnd, err error) {
	var l exportLine
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if decoder.InputOffset() < int64(len(bytes.TrimRight(text, "\n"))) {
		return nil, errors.New("it has more than one object")
	}
	switch {
	case l.Header != nil:
		if l.Header.Format != exportFormat || l.Header.Version != exportVersion {
			return nil, fmt.Errorf("it is of %q, version %d; this program reads version %d", l.Header.Format, l.Header.Version, exportVersion)
		}
		if r.stage != stageStart {
			return nil, errOrder
		}
		r.stage = stageBooks
		return nil, r.to.Begin(l.Header.Beginning)
	case r.stage == stageStart:
		return nil, errors.New("this is no export of the ledger")
	case l.End != nil:
		return l.End, nil
	case l.Organization != nil:
		id := l.Organization.ID
		if r.stage == stageSeals || r.current != nil && bytes.Compare(id[:], r.current[:]) <= 0 {
			return nil, errOrder
		}
		r.current, r.stage = &id, stageBooks
		r.seen.Organizations++
		return nil, r.to.Organization(*l.Organization)
	case l.Seal != nil:
		r.stage = stageSeals
		r.seen.Seals++
		return nil, r.to.Seal(*l.Seal)
	}
	return nil, r.book(l)
}

// book is a line of an organisation.
func (r *exportReader) book(l exportLine) error {
	stage, of := stageHolds, r.current
	switch {
	case l.Range != nil:
		stage, of = stageRanges, &l.Range.Organization
	case l.Spender != nil:
		stage = stageSpenders
	case l.Entry != nil:
		stage, of = stageEntries, &l.Entry.Organization
	case l.Hold == nil:
		return errors.New("it says nothing")
	}
	if r.stage > stage || r.current == nil || *of != *r.current {
		return errOrder
	}
	r.stage = stage
	switch stage {
	case stageRanges:
		r.seen.Ranges++
		return r.to.Range(*l.Range)
	case stageSpenders:
		r.seen.Spenders++
		return r.to.Spender(*l.Spender)
	case stageEntries:
		r.seen.Entries++
		return r.to.Entry(*l.Entry)
	}
	r.seen.Holds++
	return r.to.Hold(*l.Hold)
}

// ended reports whether the last line is, byte for byte, what it has to be.
func (r *exportReader) ended(text []byte) bool {
	want, err := json.Marshal(exportLine{End: &r.seen})
	return err == nil && bytes.Equal(append(want, '\n'), text)
}
