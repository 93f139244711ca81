// Package blobs keeps files' contents: in a directory, encrypted, or in whatever
// speaks S3's protocol (package s3 below it).
package blobs

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Store keeps contents by key. Keys are ours (ids), never a user's words.
//
// Kinds of all methods: Unavailable when the store can't be reached.
type Store interface {
	// Put stores a content, durably, before it returns, and gives its size in bytes.
	// What is cut short leaves nothing that Open finds. The secret, of SecretSize
	// bytes, encrypts it; a store that sees to that itself takes no notice of it.
	// Kind Full when there is no room; an error of content's own comes back as it is.
	Put(ctx context.Context, key string, secret []byte, content io.Reader) (size int64, err error)
	// Open gives a content of that size for reading; kind NotFound.
	Open(ctx context.Context, key string, secret []byte, size int64) (*Content, error)
	// Delete removes a content and what a Put that was cut short left of it; one that
	// is not there is no error.
	Delete(ctx context.Context, key string) error
	// Direct is how clients reach the store without us; nil when they can't.
	Direct() Direct
	// Close lets go of what the store holds open.
	Close() error
}

// SecretSize is the length of the secrets that contents are encrypted with, in bytes.
const SecretSize = 32

// Direct makes URLs that a client uses by itself, for a while and for one thing only.
type Direct interface {
	// PutURL allows to store a content of exactly that type and size; the request
	// must carry the headers.
	PutURL(ctx context.Context, key, contentType string, size int64, lifetime time.Duration) (url string, header http.Header, err error)
	// GetURL allows to fetch a content; the answer has these headers.
	GetURL(ctx context.Context, key, contentType, disposition string, lifetime time.Duration) (url string, err error)
	// Size is how large a content is that somebody may have stored so; kind NotFound.
	Size(ctx context.Context, key string) (int64, error)
}

// Content is a stored content, read from wherever one likes. It must be closed.
type Content struct {
	size, place int64
	open        func(from int64) (io.ReadCloser, error)
	reader      io.ReadCloser
	closed      func() error
}

// NewContent makes a Content of a function that reads it from some byte on.
func NewContent(size int64, open func(from int64) (io.ReadCloser, error), closed func() error) *Content {
	return &Content{size: size, open: open, closed: closed}
}

// Size is its length in bytes.
func (c *Content) Size() int64 { return c.size }

// Read implements io.Reader.
func (c *Content) Read(p []byte) (int, error) {
	if c.place >= c.size {
		return 0, io.EOF
	}
	if c.reader == nil {
		var err error
		if c.reader, err = c.open(c.place); err != nil {
			return 0, err
		}
	}
	n, err := c.reader.Read(p)
	c.place += int64(n)
	if err == io.EOF && c.place < c.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.place
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errNegative
	}
	if offset == c.place {
		return offset, nil
	}
	c.place = offset
	return offset, c.stop()
}

func (c *Content) stop() error {
	if c.reader == nil {
		return nil
	}
	err := c.reader.Close()
	c.reader = nil
	return err
}

// Close implements io.Closer.
func (c *Content) Close() error {
	err := c.stop()
	if c.closed != nil {
		if e := c.closed(); err == nil {
			err = e
		}
	}
	return err
}
