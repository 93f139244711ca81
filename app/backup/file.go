package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"time"

	"github.com/google/uuid"
)

// Header is what a reader has to know first.
type Header struct {
	Version      string            `json:"version"` // uaol's
	Database     string            `json:"database"`
	At           time.Time         `json:"at"`      // of the snapshot, by the database's clock
	Schemas      map[string]uint   `json:"schemas"` // the version of each schema's tables
	Fingerprints map[string]string `json:"fingerprints"`
	Secrets      map[string]string `json:"secrets,omitempty"` // by variable
	WithoutFiles bool              `json:"withoutFiles,omitempty"`
}

// Part is a table or a file's content.
type Part struct {
	Table   string    `json:"table,omitempty"`
	Columns []string  `json:"columns,omitempty"`
	Content uuid.UUID `json:"content,omitzero"`
	Size    int64     `json:"size,omitempty"`   // of a content, as its row says
	SHA256  string    `json:"sha256,omitempty"` // of a content, as its row says
}

// End sums a part up.
type End struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Rows   int64  `json:"rows,omitempty"`   // of a table
	Broken bool   `json:"broken,omitempty"` // a content that could not be read to its end
}

// Manifest is what a backup holds, so that nothing can be missing unnoticed.
type Manifest struct {
	Tables   map[string]End `json:"tables"`
	Contents int64          `json:"contents"`
	Bytes    int64          `json:"bytes"`  // of contents
	Digest   string         `json:"digest"` // SHA-256 of the contents' digests, in their order
	Lost     int64          `json:"lost"`   // contents that rows name and no store had whole
	Missing  []uuid.UUID    `json:"missing,omitempty"`
}

// Rows are those of all tables.
func (m Manifest) Rows() (n int64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// account is what writers and readers count alike.
type account struct {
	Manifest
	contents hash.Hash
}

func newAccount() account {
	return account{Manifest: Manifest{Tables: map[string]End{}}, contents: sha256.New()}
}

func (a *account) add(p Part, e End) error {
	switch {
	case p.Table != "":
		if _, twice := a.Tables[p.Table]; twice || len(a.Tables) == tablesMost {
			return fmt.Errorf("%w: the table %s", ErrDamaged, p.Table)
		}
		a.Tables[p.Table] = e
	case e.Broken:
	default:
		a.Contents, a.Bytes = a.Contents+1, a.Bytes+e.Bytes
		_, _ = io.WriteString(a.contents, e.SHA256)
	}
	return nil
}

func (a *account) digest() string { return hex.EncodeToString(a.contents.Sum(nil)) }

// writer writes a backup.
type writer struct {
	frames frameWriter
	sealed io.WriteCloser
	seen   account
}

func newWriter(to io.Writer, passphrase string, h Header) (*writer, error) {
	sealed, err := seal(to, passphrase)
	if err != nil {
		return nil, err
	}
	w := &writer{frames: frameWriter{to: bufio.NewWriterSize(sealed, 64<<10)}, sealed: sealed, seen: newAccount()}
	return w, w.frames.json(header, h)
}

// part writes one; f writes its data.
func (w *writer) part(p Part, f func(io.Writer) (End, error)) (End, error) {
	if err := w.frames.json(begin, p); err != nil {
		return End{}, err
	}
	digest := sha256.New()
	counted := &counter{to: io.MultiWriter(&w.frames, digest)}
	e, err := f(counted)
	if err != nil {
		return End{}, err
	}
	e.Bytes, e.SHA256 = counted.bytes, hex.EncodeToString(digest.Sum(nil))
	if p.Table == "" && (e.SHA256 != p.SHA256 || e.Bytes != p.Size) {
		e.Broken = true
	}
	if err := w.seen.add(p, e); err != nil {
		return End{}, err
	}
	return e, w.frames.json(end, e)
}

type counter struct {
	to    io.Writer
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.bytes += int64(n)
	return n, err
}

// missingTold is how many ids of lost contents a manifest names.
const missingTold = 1_000

func (w *writer) lost(id uuid.UUID) {
	if w.seen.Lost++; w.seen.Lost <= missingTold {
		w.seen.Missing = append(w.seen.Missing, id)
	}
}

func (w *writer) close() (Manifest, error) {
	w.seen.Digest = w.seen.digest()
	if err := w.frames.json(manifest, w.seen.Manifest); err != nil {
		return Manifest{}, err
	}
	if err := w.frames.to.Flush(); err != nil {
		return Manifest{}, err
	}
	return w.seen.Manifest, w.sealed.Close()
}

// Reader reads a backup from its beginning to its end.
type Reader struct {
	Header
	frames frameReader
	closed func()
	seen   account
	told   Manifest
}

// NewReader opens a backup. Kinds of failure: ErrPassphrase, and what a file is that is
// none.
func NewReader(from io.Reader, passphrase string) (*Reader, error) {
	plain, closed, err := open(from, passphrase)
	if err != nil {
		return nil, err
	}
	r := &Reader{frames: frameReader{from: bufio.NewReaderSize(plain, 64<<10)}, closed: closed, seen: newAccount()}
	if err := r.frames.take(header, &r.Header); err != nil {
		closed()
		return nil, err
	}
	return r, nil
}

// Close lets go of what reading takes.
func (r *Reader) Close() { r.closed() }

// Each hands on all parts in their order, and returns when the file has proved whole. What
// f leaves unread of a part is read all the same.
func (r *Reader) Each(f func(p Part, from io.Reader) error) (Manifest, error) {
	for {
		kind, payload, err := r.frames.next()
		if err != nil {
			return Manifest{}, err
		}
		switch kind {
		case begin:
			var p Part
			if err := parse(payload, &p); err != nil {
				return Manifest{}, err
			}
			if (p.Table == "") == (p.Content == uuid.Nil) {
				return Manifest{}, fmt.Errorf("%w: a part of nothing", ErrDamaged)
			}
			if err := r.part(p, f); err != nil {
				return Manifest{}, err
			}
		case manifest:
			if err := parse(payload, &r.told); err != nil {
				return Manifest{}, err
			}
			return r.told, r.finish()
		default:
			return Manifest{}, fmt.Errorf("%w: %q between parts", ErrDamaged, kind)
		}
	}
}

func (r *Reader) part(p Part, f func(Part, io.Reader) error) error {
	body := &body{frames: &r.frames, digest: sha256.New()}
	err := f(p, body)
	if body.err != nil && !errors.Is(body.err, io.EOF) && !errors.Is(body.err, errBroken) {
		return body.err // of which the database may have other words
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, body); err != nil && !errors.Is(err, errBroken) {
		return err
	}
	if p.Table != "" && body.rows != body.end.Rows {
		return fmt.Errorf("%w: %s has %d rows and should have %d", ErrDamaged, p.Table, body.rows, body.end.Rows)
	}
	return r.seen.add(p, body.end)
}

// finish reads what must be the end of the file.
func (r *Reader) finish() error {
	if _, err := r.frames.from.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("there is more after its end")
		}
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	if !maps.Equal(r.seen.Tables, r.told.Tables) || r.seen.Contents != r.told.Contents || r.seen.Bytes != r.told.Bytes || r.seen.digest() != r.told.Digest {
		return fmt.Errorf("%w: it does not hold what its manifest says", ErrDamaged)
	}
	return nil
}

// body is the data of one part, which proves at its end to be what was written.
type body struct {
	frames *frameReader
	digest hash.Hash
	rest   []byte
	bytes  int64
	rows   int64
	end    End
	err    error
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	for len(b.rest) == 0 && b.err == nil {
		b.err = b.more()
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) more() error {
	kind, payload, err := b.frames.next()
	if err != nil {
		return err
	}
	switch kind {
	case data:
		b.rest = payload
		b.digest.Write(payload)
		b.bytes += int64(len(payload))
		b.rows += int64(bytes.Count(payload, []byte{'\n'}))
		return nil
	case end:
		if err := parse(payload, &b.end); err != nil {
			return err
		}
		if b.end.Bytes != b.bytes || b.end.SHA256 != hex.EncodeToString(b.digest.Sum(nil)) {
			return fmt.Errorf("%w: a part is not what was written", ErrDamaged)
		}
		if b.end.Broken {
			return errBroken
		}
		return io.EOF
	}
	return fmt.Errorf("%w: %q within a part", ErrDamaged, kind)
}

// errBroken ends a content that could not be read to its end when the backup was made.
var errBroken = errors.New("the content was damaged already when the backup was made")
