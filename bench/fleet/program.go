package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// root is where the program's module lies.
func root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "uaol").Output()
	return strings.TrimSpace(string(out)), err
}

var building sync.Mutex

// Program builds the program as it stands here, once for all tests of a run.
func Program(t testing.TB) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	place := filepath.Join(workDir(t), "uaol")
	if _, err := os.Stat(place); err == nil {
		return place
	}
	dir, err := root()
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	build(t, dir, place)
	return place
}

// ProgramOf builds the program as it was at a commit.
func ProgramOf(t testing.TB, commit string) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	source := filepath.Join(t.TempDir(), "source")
	if out, err := exec.Command("git", "-C", dir, "worktree", "add", "--detach", "--force", source, commit).CombinedOutput(); err != nil {
		t.Fatalf("fleet: the commit %s: %v: %s", commit, err, out)
	}
	t.Cleanup(func() {
		_ = exec.Command("git", "-C", dir, "worktree", "remove", "--force", source).Run()
	})
	place := filepath.Join(workDir(t), "uaol-"+filepath.Base(commit))
	build(t, source, place)
	return place
}

// beforeTheNewestMigration is the last commit that lacks a migration of this one's.
func beforeTheNewestMigration(t testing.TB) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("fleet: git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	made := git("log", "-1", "--format=%H", "--diff-filter=A", "--", "migrations/*/*.up.sql")
	if made == "" {
		t.Skip("no commit is known that adds a migration: this is no whole clone")
	}
	return git("rev-parse", "--short", made+"^")
}

func build(t testing.TB, dir, place string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", place, "./cmd/uaol")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fleet: building in %s: %v: %s", dir, err, out)
	}
}

var work = sync.OnceValues(func() (string, error) { return os.MkdirTemp(os.Getenv("UAOL_BENCH_DIR"), "uaol-fleet-") })

// Discard removes what a run has left on the disk, when it is over: TestMain of whoever
// starts a Fleet calls it.
func Discard() error {
	dir, err := work()
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// workDir is this run's own directory; TestMain removes it.
func workDir(t testing.TB) string {
	t.Helper()
	dir, err := work()
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	return dir
}

// place makes a directory for one thing.
func place(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(workDir(t), name+"-")
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	return dir
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
