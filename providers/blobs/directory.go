package blobs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/minio/sio"

	"uaol/providers/config"
	"uaol/services"
)

var errNegative = errors.New("blob: a place before its beginning")

// Directory is a Store on this machine. Contents are encrypted with AES-256-GCM in
// pieces of 64 KiB (github.com/minio/sio), so that they are written and read without
// ever being in memory as a whole, from any place.
type Directory struct {
	dir  string
	once sync.Once
	root *os.Root
	err  error
}

// NewDirectory names the directory, below the data directory; it is made when needed.
func NewDirectory(process config.Process) *Directory {
	return &Directory{dir: filepath.Join(process.DataDir, "files")}
}

func (d *Directory) open() (*os.Root, error) {
	d.once.Do(func() {
		if d.err = os.MkdirAll(d.dir, 0o700); d.err == nil {
			d.root, d.err = os.OpenRoot(d.dir)
		}
	})
	if d.err != nil {
		return nil, services.Errorf(services.Unavailable, "Files cannot be stored; the operator must make UAOL_DATA_DIR writable").Because(d.err)
	}
	return d.root, nil
}

// suite is how contents are encrypted.
func suite(secret []byte) sio.Config {
	return sio.Config{MinVersion: sio.Version20, MaxVersion: sio.Version20, CipherSuites: []byte{sio.AES_256_GCM}, Key: secret}
}

const unfinished = ".new" // a name's end while its content is being written

// Put implements Store.
func (d *Directory) Put(ctx context.Context, key string, secret []byte, content io.Reader) (size int64, err error) {
	root, err := d.open()
	if err != nil {
		return 0, err
	}
	temporary := key + unfinished
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, stored(err)
	}
	size, err = encrypt(f, secret, &until{ctx, content})
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = root.Rename(temporary, key)
	}
	if err == nil {
		err = syncDir(root) // until then the new name may be lost with the power
	}
	if err != nil {
		return 0, stored(errors.Join(err, root.Remove(temporary)))
	}
	return size, nil
}

func encrypt(to io.Writer, secret []byte, content io.Reader) (int64, error) {
	w, err := sio.EncryptWriter(struct{ io.Writer }{to}, suite(secret)) // it would close a file, which has to be synced first
	if err != nil {
		return 0, err
	}
	size, err := io.Copy(w, content)
	if err != nil {
		return 0, err // closing would make a whole of it
	}
	return size, w.Close()
}

// until is a reader that ends with a context.
type until struct {
	ctx    context.Context
	reader io.Reader
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.reader.Read(p)
}

// stored makes the kind Full of a full disk.
func stored(err error) error {
	var own *services.Error
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return services.Errorf(services.Full, "There is no room for the file; the operator must make some").Because(err)
	case errors.As(err, &own):
		return err
	}
	return fmt.Errorf("blob: %w", err)
}

func syncDir(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Open implements Store. Without a secret it gives what was stored before contents were
// encrypted.
func (d *Directory) Open(_ context.Context, key string, secret []byte, size int64) (*Content, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	f, err := root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, services.Errorf(services.NotFound, "The file's content is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	plain, long := io.ReaderAt(f), uint64(size)
	if secret != nil {
		if plain, err = sio.DecryptReaderAt(f, suite(secret)); err == nil {
			long, err = sio.EncryptedSize(long)
		}
	}
	if err == nil {
		err = whole(f, long)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blob: %w", err), f.Close())
	}
	return NewContent(size, func(from int64) (io.ReadCloser, error) {
		return io.NopCloser(bufio.NewReaderSize(io.NewSectionReader(plain, from, size-from), ahead)), nil
	}, f.Close), nil
}

// ahead is how much is decrypted at once, in bytes: a piece that is read in parts is
// decrypted for each of them.
const ahead = 256 << 10

// whole reports whether a file is as long as it has to be: each piece of an encrypted
// one is authenticated by itself, so one that lacks its end is good as far as it goes.
func whole(f *os.File, want uint64) error {
	info, err := f.Stat()
	if err == nil && uint64(info.Size()) != want {
		err = fmt.Errorf("it is %d bytes long and should be %d", info.Size(), want)
	}
	return err
}

// Delete implements Store.
func (d *Directory) Delete(_ context.Context, key string) error {
	root, err := d.open()
	if err != nil {
		return err
	}
	for _, name := range []string{key, key + unfinished} {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("blob: %w", err)
		}
	}
	return nil
}

// Direct implements Store: a directory is reached through us alone.
func (d *Directory) Direct() Direct { return nil }

// Close implements Store.
func (d *Directory) Close() error {
	if d.root == nil {
		return nil
	}
	return d.root.Close()
}
