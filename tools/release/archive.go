package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
)

// archive packs the binary with what has to go with it.
func (r *Release) archive(platform, binary, notices string) (err error) {
	file, err := os.OpenFile(filepath.Join(r.Out, r.name(platform)+".tar.gz"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	return r.pack(file, []entry{
		{"uaol", binary, 0o755},
		{"LICENSE", filepath.Join(r.Source, "LICENSE"), 0o644},
		{"THIRD_PARTY_NOTICES", notices, 0o644},
		{"README.md", filepath.Join(r.Source, "README.md"), 0o644},
		{"CHANGELOG.md", filepath.Join(r.Source, "CHANGELOG.md"), 0o644},
	}, r.name(platform))
}

type entry struct {
	name, path string
	mode       int64
}

// pack writes entries below a directory. Their owner is nobody in particular, and
// their time the commit's.
func (r *Release) pack(to io.Writer, entries []entry, dir string) error {
	compressed, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	packed := tar.NewWriter(compressed)
	for _, e := range entries {
		content, err := os.ReadFile(e.path)
		if err != nil {
			return err
		}
		header := tar.Header{Name: dir + "/" + e.name, Mode: e.mode, Size: int64(len(content)), ModTime: r.Date, Format: tar.FormatUSTAR}
		if err := packed.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := packed.Write(content); err != nil {
			return err
		}
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return compressed.Close()
}
