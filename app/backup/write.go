package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/migrations"
	"uaol/providers/blobs/s3"
	"uaol/providers/config"
	"uaol/providers/postgres"
	"uaol/services/storage"
)

// Options say what to write, and how.
type Options struct {
	Env            *config.Environment // whose secrets and stores
	URL            string              // of the database
	Version        string              // uaol's
	Passphrase     string
	WithoutSecrets bool
	WithoutFiles   bool
	Progress       func(Progress) // called often; nil for nobody
}

// Progress is how far a backup or a restore has come.
type Progress struct {
	Table    string // that is being copied; "" once contents are
	Rows     int64
	Contents int64
	Bytes    int64 // of contents
}

func (o Options) progress(p Progress) {
	if o.Progress != nil {
		o.Progress(p)
	}
}

// Create writes a backup into a file that is there only once it is whole; one of that
// name is replaced then. Contents that no store has are counted in the manifest: the rest
// is a backup all the same.
func Create(ctx context.Context, name string, o Options) (m Manifest, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".partial-") // 0600
	if err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	buffer := bufio.NewWriterSize(f, 1<<20)
	if m, err = o.write(ctx, buffer, filepath.Dir(name)); err != nil {
		return m, err
	}
	if err = errors.Join(buffer.Flush(), f.Sync()); err != nil {
		return m, err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return m, err
	}
	return m, errors.Join(f.Close(), syncDir(filepath.Dir(name)))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (o Options) write(ctx context.Context, to io.Writer, dir string) (m Manifest, err error) {
	all, err := secretsOf(o.Env)
	if err != nil {
		return m, err
	}
	archive, closed, err := archiveOf(ctx, o.Env)
	if err != nil {
		return m, err
	}
	defer closed()
	pool, err := postgres.Open(ctx, o.URL)
	if err != nil {
		return m, err
	}
	defer pool.Close()
	states, err := migrations.Status(ctx, pool, migrations.Owners()...)
	if err != nil {
		return m, err
	}
	if behind := migrations.Behind(states); behind != "" {
		return m, fmt.Errorf("the database is older than this binary (%s): back it up with the release that made it, or run `uaol migrate up`", behind)
	}
	ctx, release, err := storage.HoldContents(ctx, pool) // before the snapshot: what that names stays
	if err != nil {
		return m, err
	}
	defer func() {
		if e := context.Cause(ctx); err != nil && e != nil {
			err = e
		}
		err = errors.Join(err, release())
	}()
	spool, err := temporary(dir)
	if err != nil {
		return m, err
	}
	defer spool.Close()
	h := Header{Version: o.Version, Fingerprints: fingerprints(all), WithoutFiles: o.WithoutFiles}
	if !o.WithoutSecrets {
		h.Secrets = all
	}
	w, err := o.tables(ctx, pool, to, h, spool)
	if err != nil {
		return m, err
	}
	if !o.WithoutFiles {
		if err := o.contents(ctx, w, archive, spool); err != nil {
			return m, err
		}
	}
	return w.close()
}

// archiveOf opens the stores of this machine's settings.
func archiveOf(ctx context.Context, env *config.Environment) (archive *storage.Archive, closed func(), err error) {
	ring, err := ringOf(env)
	if err != nil {
		return nil, nil, err
	}
	process, err := config.Parse[config.Process](env)
	if err != nil {
		return nil, nil, err
	}
	bucket, err := config.Parse[s3.Config](env)
	if err != nil {
		return nil, nil, err
	}
	shelf, err := storage.OpenShelf(ctx, process, bucket)
	if err != nil {
		return nil, nil, err
	}
	return storage.NewArchive(shelf, ring), func() { _ = shelf.Close() }, nil
}

// tables writes what one snapshot sees, and notes which contents it names. The snapshot
// ends with it: contents take longer, and dead rows could not be cleared away meanwhile.
func (o Options) tables(ctx context.Context, pool *pgxpool.Pool, to io.Writer, h Header, spool io.Writer) (w *writer, err error) {
	err = pgx.BeginTxFunc(ctx, pool, snapshot, func(tx pgx.Tx) error {
		if err := plainly(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT now(), version()`).Scan(&h.At, &h.Database); err != nil {
			return err
		}
		all, err := tablesOf(ctx, tx)
		if err != nil {
			return err
		}
		if h.Schemas, err = schemasOf(ctx, tx); err != nil {
			return err
		}
		if w, err = newWriter(to, o.Passphrase, h); err != nil {
			return err
		}
		var rows int64
		for _, t := range all {
			o.progress(Progress{Table: t.String(), Rows: rows})
			e, err := w.part(Part{Table: t.String(), Columns: t.Columns}, func(to io.Writer) (End, error) {
				n, err := copyOut(ctx, tx, t, to)
				return End{Rows: n}, err
			})
			if err != nil {
				return err
			}
			rows += e.Rows
		}
		o.progress(Progress{Rows: rows})
		lines := bufio.NewWriter(spool)
		encoder := json.NewEncoder(lines)
		return errors.Join(storage.EachKept(ctx, tx, func(k storage.Kept) error { return encoder.Encode(k) }), lines.Flush())
	})
	return w, err
}

// contents writes those that the snapshot named.
func (o Options) contents(ctx context.Context, w *writer, archive *storage.Archive, spool io.ReadSeeker) error {
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	decoder := json.NewDecoder(bufio.NewReader(spool))
	buffer := make([]byte, 256<<10)
	for {
		var k storage.Kept
		switch err := decoder.Decode(&k); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		whole, err := o.content(ctx, w, archive, k, buffer)
		if err != nil {
			return fmt.Errorf("the content %s: %w", k.ID, err)
		}
		if !whole {
			w.lost(k.ID)
		}
		o.progress(Progress{Rows: w.seen.Rows(), Contents: w.seen.Contents, Bytes: w.seen.Bytes})
	}
}

// content writes one. One that is not there, or not as its row says, is no reason to have
// no backup of all others.
func (o Options) content(ctx context.Context, w *writer, archive *storage.Archive, k storage.Kept, buffer []byte) (whole bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	from, err := archive.Open(ctx, k)
	if err != nil {
		if k.Lost(err) && ctx.Err() == nil {
			return false, nil
		}
		return false, err
	}
	defer from.Close()
	e, err := w.part(Part{Content: k.ID, Size: k.Size, SHA256: k.SHA256}, func(to io.Writer) (End, error) {
		for {
			n, err := from.Read(buffer)
			if _, err := to.Write(buffer[:n]); err != nil {
				return End{}, err
			}
			switch {
			case errors.Is(err, io.EOF):
				return End{}, nil
			case err != nil && k.Lost(err) && ctx.Err() == nil:
				return End{Broken: true}, nil
			case err != nil:
				return End{}, err
			}
			if err := ctx.Err(); err != nil {
				return End{}, err
			}
		}
	})
	return !e.Broken, err
}

// Took rounds a duration for people.
func Took(since time.Time) time.Duration { return time.Since(since).Round(100 * time.Millisecond) }
