package embedded

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

const maxUnpacked = 4 << 30 // bytes; real ones have 120 MB

// unpack makes the tree of an archive in dir, which must not exist: a zip (jar)
// around one .txz, a .txz or a .tgz. What it makes can be read by every user,
// because postgres may have to run as another one.
func unpack(ctx context.Context, file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // refuses every path that leaves dir
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := root.Chmod(".", 0o755); err != nil {
		return err
	}
	head := make([]byte, 6)
	if _, err := f.ReadAt(head, 0); err != nil {
		return fmt.Errorf("it is too short: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK")):
		err = unpackJar(ctx, f, root)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		err = unpackGzip(ctx, f, root)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ")):
		err = unpackXZ(ctx, f, root)
	default:
		err = errors.New("it is none of .jar, .tgz and .txz")
	}
	if err != nil {
		return err
	}
	return links(root)
}

func unpackJar(ctx context.Context, f *os.File, root *os.Root) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	jar, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	for _, entry := range jar.File {
		if strings.HasSuffix(entry.Name, ".txz") || strings.HasSuffix(entry.Name, ".tar.xz") {
			inner, err := entry.Open()
			if err != nil {
				return err
			}
			return errors.Join(unpackXZ(ctx, inner, root), inner.Close())
		}
	}
	return errors.New("the jar holds no .txz")
}

func unpackGzip(ctx context.Context, from io.Reader, root *os.Root) error {
	reader, err := gzip.NewReader(from)
	if err != nil {
		return err
	}
	return unpackTar(ctx, reader, root)
}

func unpackXZ(ctx context.Context, from io.Reader, root *os.Root) error {
	reader, err := xz.NewReader(bufio.NewReader(from))
	if err != nil {
		return err
	}
	return unpackTar(ctx, reader, root)
}

func unpackTar(ctx context.Context, from io.Reader, root *os.Root) error {
	limited := &io.LimitedReader{R: from, N: maxUnpacked}
	reader := tar.NewReader(limited)
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = unpackEntry(entry, reader, root)
		}
		if limited.N <= 0 {
			return fmt.Errorf("it unpacks to more than %d bytes", int64(maxUnpacked))
		}
		if err != nil {
			return err
		}
	}
}

func unpackEntry(entry *tar.Header, from io.Reader, root *os.Root) error {
	name := filepath.FromSlash(strings.TrimSuffix(entry.Name, "/"))
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q leads out of the archive", entry.Name)
	}
	name = filepath.Clean(name)
	if err := makeDirs(root, filepath.Dir(name)); err != nil {
		return err
	}
	switch entry.Typeflag {
	case tar.TypeDir:
		return makeDirs(root, name)
	case tar.TypeReg:
		return unpackFile(root, name, entry.FileInfo().Mode(), from)
	case tar.TypeSymlink:
		return link(root, entry.Linkname, name)
	case tar.TypeLink:
		if !filepath.IsLocal(entry.Linkname) {
			return fmt.Errorf("%q leads out of the archive", entry.Linkname)
		}
		return root.Link(filepath.FromSlash(entry.Linkname), name)
	}
	return nil // headers of other kinds carry no file
}

func unpackFile(root *os.Root, name string, mode fs.FileMode, from io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	// Regardless of the umask, and of tarballs whose programs lack the bit.
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 || filepath.Base(filepath.Dir(name)) == "bin" {
		perm = 0o755
	}
	return errors.Join(err, f.Chmod(perm), f.Close())
}

// makeDirs is MkdirAll regardless of the umask.
func makeDirs(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	if info, err := root.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := makeDirs(root, filepath.Dir(name)); err != nil {
		return err
	}
	return errors.Join(root.Mkdir(name, 0o755), root.Chmod(name, 0o755))
}

// link makes a symbolic link that stays inside the tree.
func link(root *os.Root, target, name string) error {
	target = filepath.FromSlash(target)
	if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), target)) {
		return fmt.Errorf("the link %q leads out of the archive", name)
	}
	return root.Symlink(target, name)
}

// links makes the links that npm's tarballs cannot hold and list instead.
func links(root *os.Root) error {
	text, err := root.ReadFile("package/native/pg-symlinks.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []struct{ Source, Target string }
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, l := range list {
		name := filepath.Join("package", filepath.FromSlash(l.Target))
		target, err := filepath.Rel(filepath.Dir(name), filepath.Join("package", filepath.FromSlash(l.Source)))
		if err != nil {
			return err
		}
		if err := link(root, target, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// binDir finds the programs in an unpacked tree, whose depth differs by archive.
func binDir(tree string) (dir string, err error) {
	err = filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "postgres" || entry.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
			dir = filepath.Dir(path)
			return fs.SkipAll
		}
		return nil
	})
	if err == nil && dir == "" {
		err = fmt.Errorf("the archive in %s holds no directory with postgres and initdb", tree)
	}
	return dir, err
}
