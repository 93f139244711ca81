package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/blobs"
	"uaol/providers/blobs/s3"
	"uaol/providers/config"
	"uaol/providers/events/brokers"
	"uaol/providers/limits"
	"uaol/providers/mail"
	"uaol/services/storage/documents"
)

// files writes a probe where files' contents go, reads it and removes it.
func files(ctx context.Context, p *Patient) []Finding {
	process, ok := read[config.Process](p)
	cfg, alsoOK := read[s3.Config](p)
	if !ok || !alsoOK {
		return nil
	}
	if cfg.Bucket == "" {
		if _, err := os.Stat(process.DataDir); errors.Is(err, fs.ErrNotExist) {
			return []Finding{well("in %s, made at the first start", process.DataDir)}
		}
		if f := probe(ctx, blobs.NewDirectory(process)); f != nil {
			f.Do = "let the server's user write below UAOL_DATA_DIR"
			return []Finding{*f}
		}
		return []Finding{well("in %s: written, read and removed", process.DataDir)}
	}
	bucket, err := s3.New(ctx, cfg, process.DataDir)
	if err != nil {
		return []Finding{failed("correct the S3_ and AWS_ settings", "%s", causeOf(err))}
	}
	if f := probe(ctx, bucket); f != nil {
		f.Do = "see that the bucket exists and that the keys may put, get and delete objects in it"
		return []Finding{*f}
	}
	return []Finding{well("in the bucket %s: written, read and removed", cfg.Bucket)}
}

func probe(ctx context.Context, store blobs.Store) *Finding {
	defer func() { _ = store.Close() }()
	key, secret := uuid.Must(uuid.NewV7()).String(), make([]byte, blobs.SecretSize)
	rand.Read(secret)
	said := []byte("uaol doctor was here")
	size, err := store.Put(ctx, key, secret, bytes.NewReader(said))
	if err != nil {
		f := failed("", "a probe can't be written: %s", causeOf(err))
		return &f
	}
	content, err := store.Open(ctx, key, secret, size)
	var got []byte
	if err == nil {
		got, err = io.ReadAll(content)
		_ = content.Close()
	}
	removed := store.Delete(context.WithoutCancel(ctx), key)
	switch {
	case err != nil:
		f := failed("", "a probe can't be read: %s", causeOf(err))
		return &f
	case !bytes.Equal(got, said):
		f := failed("", "a probe came back changed")
		return &f
	case removed != nil:
		f := failed("", "a probe can't be removed: %s", causeOf(removed))
		return &f
	}
	return nil
}

// Room that is little, and too little, in bytes.
const (
	little    = 2 << 30
	tooLittle = 200 << 20
)

func disk(_ context.Context, p *Patient) []Finding {
	process, ok := read[config.Process](p)
	if !ok {
		return nil
	}
	at := process.DataDir
	for {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	free, err := roomAt(at)
	if err != nil {
		return []Finding{failed("let this user look there", "%s: %s", at, causeOf(err))}
	}
	return []Finding{room(free, process.DataDir)}
}

func room(free uint64, dir string) Finding {
	const do = "make room, or move UAOL_DATA_DIR: the database and files stop when it is full"
	switch {
	case free < tooLittle:
		return failed(do, "%d MB are free for %s", free>>20, dir)
	case free < little:
		return warned(do, "%d MB are free for %s", free>>20, dir)
	}
	return well("%d GB are free for %s", free>>30, dir)
}

func redis(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[limits.Config](p)
	if !ok || cfg.RedisURL == "" {
		return nil
	}
	if err := cfg.Ping(ctx); err != nil {
		f := warned("start it or correct REDIS_URL: until then each process counts limits for itself", "no answer: %s", causeOf(err))
		if cfg.Production() {
			f.Status = Fail
			f.Do = "start it or correct REDIS_URL: production does not start without it"
		}
		return []Finding{f}
	}
	return []Finding{well("it answers")}
}

// broker asks whoever events are published to, as a process does at its start.
func broker(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[brokers.Config](p)
	if !ok || cfg.None() {
		return nil
	}
	const do = "start it, or correct its settings: events wait in the database until it takes them"
	to, err := brokers.Open(ctx, cfg)
	if err != nil {
		return []Finding{failed(do, "%s: %s", cfg.Type, causeOf(err))}
	}
	defer to.Close()
	if err := to.Check(ctx); err != nil {
		return []Finding{failed(do, "%s: %s", cfg.Type, causeOf(err))}
	}
	return []Finding{well("%s takes events", cfg.Type)}
}

func post(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[mail.Config](p)
	if !ok || cfg.URL == "" {
		return nil
	}
	mailer, err := mail.New(cfg)
	if err == nil {
		err = mailer.Reach(ctx)
	}
	if err != nil {
		return []Finding{failed("correct SMTP_URL, or see to the mail server", "%s", causeOf(err))}
	}
	return []Finding{well("the mail server lets us in")}
}

func tesseract(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[documents.Config](p)
	_, model := p.Env.Lookup("UAOL_OCR_MODEL")
	_, vision := p.Env.Lookup("GOOGLE_CLOUD_VISION_API_KEY")
	if !ok || !cfg.OCR || model || vision {
		return nil
	}
	program, err := exec.LookPath("tesseract")
	if err != nil {
		return []Finding{warned("install tesseract-ocr, set UAOL_OCR_MODEL, or say ENABLE_OCR=false", "it is not installed: images and scanned pages have no text")}
	}
	said, err := exec.CommandContext(ctx, program, "--list-langs").CombinedOutput()
	if err != nil {
		return []Finding{warned("see why `tesseract --list-langs` fails", "%s does not run: %s", program, causeOf(err))}
	}
	has := map[string]bool{}
	for _, language := range strings.Fields(string(said)) {
		has[language] = true
	}
	for language := range strings.SplitSeq(cfg.Languages, "+") {
		if !has[language] {
			return []Finding{warned("install tesseract-ocr-"+language+", or leave it out of UAOL_OCR_LANGUAGES", "it does not know the language %s", language)}
		}
	}
	return []Finding{well("it knows %s", cfg.Languages)}
}
