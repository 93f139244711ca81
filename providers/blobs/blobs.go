// Package blobs keeps files' contents in a directory.
package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"uaol/providers/config"
	"uaol/services"
)

// Store keeps contents by key. Keys are ours (ids), never a user's words.
type Store struct {
	dir  string
	once sync.Once
	root *os.Root
	err  error
}

// New names the directory, below the data directory; it is made when needed.
func New(process config.Process) *Store {
	return &Store{dir: filepath.Join(process.DataDir, "files")}
}

func (s *Store) open() (*os.Root, error) {
	s.once.Do(func() {
		if s.err = os.MkdirAll(s.dir, 0o700); s.err == nil {
			s.root, s.err = os.OpenRoot(s.dir)
		}
	})
	if s.err != nil {
		return nil, services.Errorf(services.Unavailable, "Files cannot be stored; the operator must make UAOL_DATA_DIR writable").Because(s.err)
	}
	return s.root, nil
}

// Put stores a content, durably, before it returns.
func (s *Store) Put(_ context.Context, key string, content []byte) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	temporary := key + ".new"
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	_, err = io.Copy(f, bytes.NewReader(content))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = root.Rename(temporary, key)
	}
	if err == nil {
		err = syncDir(root) // until then the new name may be lost with the power
	}
	if err != nil {
		return errors.Join(fmt.Errorf("blob: %w", err), root.Remove(temporary))
	}
	return nil
}

func syncDir(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Delete removes a content; one that is not there is no error.
func (s *Store) Delete(_ context.Context, key string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if err := root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Close lets go of the directory.
func (s *Store) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}
