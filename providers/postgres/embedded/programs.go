package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"uaol/providers/postgres/embedded/child"
)

const (
	oldest  = 14 // PostgreSQL's oldest supported release
	probing = 5 * time.Second
)

// programs are a directory with initdb and postgres of one release.
type programs struct {
	dir     string
	version string // "15.18"
	major   int
}

// Version is the release that Start would run, "15.18". It may download.
func (s *Server) Version(ctx context.Context) (string, error) {
	if err := s.makeDataDir(); err != nil {
		return "", err
	}
	at, err := s.site()
	if err != nil {
		return "", err
	}
	with, err := s.programs(ctx, at)
	return with.version, err
}

// programs finds binaries of the release that the data has, or the newest for a
// new cluster, and downloads them where there are none.
func (s *Server) programs(ctx context.Context, at site) (programs, error) {
	want, err := dataMajor(at.dir)
	if err != nil {
		return programs{}, err
	}
	if found, ok := installed(ctx, s.cfg.SearchDirs, want); ok {
		return found, nil
	}
	found, err := s.download(ctx, want)
	if err == nil {
		return found, nil
	}
	if want != 0 {
		return programs{}, fmt.Errorf("no PostgreSQL %d found, which the data in %s needs: install it (e.g. apt-get install postgresql-%[1]d) or set UAOL_POSTGRES_ARCHIVE to an archive of it; beside a later one it carries the data over (%[3]w)", want, at.dir, err)
	}
	return programs{}, fmt.Errorf("no PostgreSQL found: install it (e.g. apt-get install postgresql), set DATABASE_URL, or set UAOL_POSTGRES_ARCHIVE to an archive (%w)", err)
}

// dataMajor is the release a cluster was made by, 0 when there is none yet.
func dataMajor(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("the cluster's version in %s: %w", dir, err)
	}
	return major, nil
}

// usual lists where packages of systems put PostgreSQL.
func usual() []string {
	var dirs []string
	for _, name := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(name); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                                 // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                          // Red Hat, PGDG
		"/usr/libexec/postgresql*",                                  // Alpine
		"/opt/homebrew/opt/postgresql@*/bin",                        // macOS on ARM
		"/usr/local/opt/postgresql@*/bin",                           // macOS on Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",        // macOS, by hand
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",           // Homebrew on Linux
		"/nix/var/nix/profiles/default/bin", "/usr/local/pgsql/bin", // Nix, from source
	} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return dirs
}

// installed is the newest usable PostgreSQL in dirs, or the first of release
// want. One that cannot be run, or is incomplete, does not count.
func installed(ctx context.Context, dirs []string, want int) (best programs, ok bool) {
	if dirs == nil {
		dirs = usual()
	}
	seen := map[string]bool{}
	for _, dir := range dirs {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || seen[filepath.Dir(real)] {
			continue
		}
		seen[filepath.Dir(real)] = true
		found, err := inspect(ctx, filepath.Dir(real))
		switch {
		case err != nil, found.major < oldest, want != 0 && found.major != want:
		case want != 0:
			return found, true
		case found.major > best.major:
			best, ok = found, true
		}
	}
	return best, ok
}

// inspect asks initdb, which looks for a postgres of its own release beside
// itself and tells where it expects the files it needs.
func inspect(ctx context.Context, dir string) (programs, error) {
	ctx, cancel := context.WithTimeout(ctx, probing)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(dir, "initdb"), "-D", "/nonexistent", "--show")
	cmd.Dir, cmd.Env = "/", environment()
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Run(ctx, cmd, child.Unprivileged()); err != nil {
		return programs{}, fmt.Errorf("PostgreSQL in %s cannot run (%w): %s", dir, err, lastLines(out.String(), 2))
	}
	shown := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			shown[name] = value
		}
	}
	if _, err := os.Stat(shown["POSTGRES_BKI"]); err != nil {
		return programs{}, fmt.Errorf("PostgreSQL in %s lacks its shared files: %w", dir, err)
	}
	version, _, _ := strings.Cut(shown["VERSION"], " ")
	digits := strings.IndexFunc(version+".", func(r rune) bool { return r < '0' || r > '9' })
	major, err := strconv.Atoi(version[:digits])
	if err != nil {
		return programs{}, fmt.Errorf("PostgreSQL in %s has the unknown version %q", dir, version)
	}
	return programs{dir: dir, version: version, major: major}, nil
}

// download makes binaries of release want available from the archive.
func (s *Server) download(ctx context.Context, want int) (programs, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait.download, fmt.Errorf("the download took longer than %s", s.wait.download))
	defer cancel()
	source, err := parseArchive(s.cfg.Archive, want)
	if err != nil {
		return programs{}, err
	}
	cache, err := s.cache()
	if err != nil {
		return programs{}, err
	}
	tree, err := source.install(ctx, cache, s.log)
	if err != nil {
		return programs{}, err
	}
	dir, err := binDir(tree)
	if err != nil {
		return programs{}, err
	}
	found, err := inspect(ctx, dir)
	if err != nil {
		return programs{}, err
	}
	if want != 0 && found.major != want {
		return programs{}, fmt.Errorf("the archive %s has PostgreSQL %s", source.shown(), found.version)
	}
	s.log.Info("using PostgreSQL from an archive", zap.String("binaries", dir), zap.String("version", found.version))
	return found, nil
}

// cache is the directory for unpacked archives. As root it must be one that the
// unprivileged user can reach.
func (s *Server) cache() (string, error) {
	dir := s.cfg.CacheDir
	if dir == "" {
		dir = filepath.Join(s.dataDir, "cache")
		if user, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(user, "uaol")
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	made := os.MkdirAll(dir, 0o755)
	if made != nil && s.cfg.CacheDir == "" {
		dir = filepath.Join(s.dataDir, "cache")
		made = os.MkdirAll(dir, 0o755)
	}
	if made != nil {
		return "", fmt.Errorf("make the cache directory: %w", made)
	}
	if reachable(dir, child.Unprivileged()) == nil {
		return dir, nil
	}
	_ = os.Remove(dir) // if it is new
	dir = filepath.Join(away, "cache")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a cache directory that PostgreSQL's user can reach: %w", err)
	}
	return dir, nil
}
