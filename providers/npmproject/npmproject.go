// Package npmproject gets what tests run with Node.js: packages of others, which a lock
// pins by version and digest with all that they need.
package npmproject

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const installTimeout = 8 * time.Minute

// Install lets npm fetch what the lock among the files names, once for a user, the files
// and the options of npm ci, and gives the directory. It works aside and renames, so
// that tests may do this at the same time.
func Install(ctx context.Context, name string, files fs.FS, options ...string) (dir string, err error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	digest, err := digestOf(files, options)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, "uaol-tests", name+"-"+digest)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := os.CopyFS(aside, files); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	install := exec.CommandContext(ctx, npm, append([]string{"ci", "--ignore-scripts", "--no-audit", "--no-fund"}, options...)...)
	install.Dir = aside
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %.500s", err, out)
	}
	if err := os.Rename(aside, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", errors.Join(err, there)
		}
	}
	return dir, nil
}

func digestOf(files fs.FS, options []string) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", strings.Join(options, " "))
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}
