package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/schollz/progressbar/v3"
	"go.uber.org/zap"
	"golang.org/x/term"
)

const (
	// zonky's jars are what the Java and Go libraries for embedded PostgreSQL
	// download; Maven Central publishes a ".sha256" beside each.
	zonky = "https://repo1.maven.org/maven2/io/zonky/test/postgres/embedded-postgres-binaries-%[1]s/%[2]s/embedded-postgres-binaries-%[1]s-%[2]s.jar"

	newest      = 18
	maxDownload = 1 << 30 // bytes; real ones have 24 MB
	headersIn   = 30 * time.Second
)

// pinned are the releases of zonky's that fergusstrange/embedded-postgres 1.34
// is tested with.
var pinned = map[int]string{14: "14.18.0", 15: "15.13.0", 16: "16.9.0", 17: "17.5.0", 18: "18.3.0"}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// archive is where PostgreSQL's binaries can be had.
type archive struct {
	from   string // a URL or an absolute path
	digest string // SHA-256 in hex; empty: published beside the archive
}

// parseArchive reads UAOL_POSTGRES_ARCHIVE; empty means the pinned archive of
// release want, or of the newest one.
func parseArchive(setting string, want int) (archive, error) {
	if setting == "" {
		return defaultArchive(want)
	}
	from, digest, given := strings.Cut(setting, "#sha256=")
	digest = strings.ToLower(digest)
	if given && !sha256Hex.MatchString(digest) {
		return archive{}, fmt.Errorf("UAOL_POSTGRES_ARCHIVE: %q is no SHA-256 digest, which has 64 hex digits", digest)
	}
	a := archive{from: strings.TrimPrefix(from, "file://"), digest: digest}
	if a.remote() {
		return a, nil
	}
	path, err := filepath.Abs(a.from)
	if err != nil {
		return archive{}, fmt.Errorf("UAOL_POSTGRES_ARCHIVE: %w", err)
	}
	a.from = path
	return a, nil
}

func defaultArchive(want int) (archive, error) {
	if want == 0 {
		want = newest
	}
	machine := map[string]string{"amd64": "amd64", "arm64": "arm64v8"}[runtime.GOARCH]
	if machine == "" || runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		return archive{}, fmt.Errorf("no archive is known for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	if pinned[want] == "" {
		return archive{}, fmt.Errorf("no archive of PostgreSQL %d is known", want)
	}
	platform := runtime.GOOS + "-" + machine
	if _, err := os.Stat("/etc/alpine-release"); err == nil {
		platform += "-alpine" // linked to musl
	}
	return archive{from: fmt.Sprintf(zonky, platform, pinned[want])}, nil
}

func (a archive) remote() bool {
	return strings.HasPrefix(a.from, "http://") || strings.HasPrefix(a.from, "https://")
}

// shown is what logs and errors say, without a password in the URL.
func (a archive) shown() string {
	if u, err := url.Parse(a.from); err == nil && a.remote() {
		return u.Redacted()
	}
	return a.from
}

// name is that of the unpacked tree. It changes with a local file's content.
func (a archive) name() (string, error) {
	key := a.from + " " + a.digest
	if !a.remote() {
		info, err := os.Stat(a.from)
		if err != nil {
			return "", fmt.Errorf("UAOL_POSTGRES_ARCHIVE: %w", err)
		}
		key += fmt.Sprint(" ", info.Size(), " ", info.ModTime().UnixNano())
	}
	return "postgres-" + hash(key, 16), nil
}

// install unpacks the archive once into a directory below cache, however many
// processes ask at the same time.
func (a archive) install(ctx context.Context, cache string, log *zap.Logger) (string, error) {
	name, err := a.name()
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, name)
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	guard := flock.New(tree+".lock", flock.SetPermissions(0o600))
	if _, err := guard.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return "", fmt.Errorf("waiting for another download: %w", err)
	}
	defer func() { _ = guard.Close() }()
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	part, fresh := tree+".part", tree+".new"
	clean := func() error { return errors.Join(os.RemoveAll(part), os.RemoveAll(fresh)) }
	if err := clean(); err != nil { // of one that was killed
		return "", fmt.Errorf("remove an unfinished download: %w", err)
	}
	defer func() { _ = clean() }()
	file, err := a.obtain(ctx, part, log)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := unpack(ctx, file, fresh); err != nil {
		return "", fmt.Errorf("unpack %s: %w", a.shown(), err)
	}
	if err := os.Rename(fresh, tree); err != nil {
		return "", fmt.Errorf("unpack %s: %w", a.shown(), err)
	}
	log.Info("PostgreSQL unpacked", zap.String("to", tree), zap.Duration("took", time.Since(began)))
	return tree, syncDir(cache)
}

// obtain answers a local file with the archive, its digest checked.
func (a archive) obtain(ctx context.Context, part string, log *zap.Logger) (string, error) {
	want, err := a.expected(ctx)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	file := a.from
	if a.remote() {
		file = part
		err = a.fetch(ctx, part, sum, log)
	} else {
		err = read(a.from, sum)
	}
	if err != nil {
		return "", err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return "", fmt.Errorf("the SHA-256 digest of %s is wrong: expected %s, got %s", a.shown(), want, got)
	}
	return file, nil
}

// expected is the digest given, or the one published beside the archive.
func (a archive) expected(ctx context.Context) (string, error) {
	if a.digest != "" {
		return a.digest, nil
	}
	var text strings.Builder
	var err error
	if a.remote() {
		err = get(ctx, a.from+".sha256", func(r *http.Response) error {
			_, err := io.Copy(&text, io.LimitReader(r.Body, 4<<10))
			return err
		})
	} else {
		err = read(a.from+".sha256", &text)
	}
	if err == nil {
		if word := strings.Fields(strings.ToLower(text.String())); len(word) > 0 && sha256Hex.MatchString(word[0]) {
			return word[0], nil
		}
		err = errors.New("it holds no SHA-256 digest")
	}
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(statusError)) {
		return "", fmt.Errorf("no digest for %s: append #sha256=<hex> to it, or put %[1]s.sha256 beside it (%w)", a.shown(), err)
	}
	return "", fmt.Errorf("the digest of %s: %w", a.shown(), err)
}

func (a archive) fetch(ctx context.Context, part string, sum io.Writer, log *zap.Logger) error {
	began := time.Now()
	log.Info("downloading PostgreSQL, once", zap.String("from", a.shown()))
	err := get(ctx, a.from, func(r *http.Response) error {
		f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		to := io.MultiWriter(f, sum)
		if term.IsTerminal(int(os.Stderr.Fd())) {
			bar := progressbar.DefaultBytes(r.ContentLength, "PostgreSQL")
			defer func() { _ = bar.Close() }()
			to = io.MultiWriter(f, sum, bar)
		}
		n, err := io.Copy(to, io.LimitReader(r.Body, maxDownload))
		if err == nil && r.ContentLength >= 0 && n != r.ContentLength {
			err = io.ErrUnexpectedEOF
		}
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return fmt.Errorf("download %s: %w", a.shown(), err)
	}
	log.Info("PostgreSQL downloaded", zap.Duration("took", time.Since(began)))
	return nil
}

type statusError struct{ status string }

func (e statusError) Error() string { return "the server answered " + e.status }

func get(ctx context.Context, address string, use func(*http.Response) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DisableKeepAlives:     true, // no connection stays behind
		ResponseHeaderTimeout: headersIn,
	}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = statusError{response.Status}
	} else {
		err = use(response)
	}
	return errors.Join(err, response.Body.Close())
}

func read(path string, to io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return errors.Join(err, f.Close())
}
