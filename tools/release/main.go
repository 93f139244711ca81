// Command release makes what a release consists of, in dist/: a static binary for
// each platform, alone and in an archive with its licences, an SBOM for each, the
// notices of third parties, and the checksums of all. The same commit gives the
// same bytes, wherever it is built; -check builds twice and compares.
//
//	go run -C tools ./release                      # all platforms
//	go run -C tools ./release -platforms linux/amd64
//	go run -C tools ./release -check
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Release is what is made, and of what.
type Release struct {
	Source    string // the repository's root
	Out       string
	Version   string
	Commit    string
	Date      time.Time // the commit's: nothing in a release knows when it was built
	Platforms []string  // linux/amd64 and so on
}

const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

// versions are what may stand in file names, -ldflags and URLs.
var versions = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]*$`)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var r Release
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.Source, "source", "..", "the repository's root")
	flags.StringVar(&r.Out, "out", "", "where to; default: dist in the source")
	flags.StringVar(&r.Version, "version", "", "default: of the tag, as git describe says it")
	flags.StringVar(&r.Commit, "commit", "", "default: git's HEAD")
	date := flags.String("date", "", "the commit's, as RFC 3339; default: as git says it")
	list := flags.String("platforms", platforms, "which to build for")
	check := flags.Bool("check", false, "build twice, under circumstances as different as can be, and compare")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r.Platforms = strings.Split(*list, ",")
	var err error
	if r.Source, err = filepath.Abs(r.Source); err != nil {
		return err
	}
	if r.Out == "" {
		r.Out = filepath.Join(r.Source, "dist")
	}
	if err := r.identify(ctx, *date); err != nil {
		return err
	}
	if *check {
		return r.check(ctx)
	}
	return r.build(ctx)
}

// identify asks git what was not said.
func (r *Release) identify(ctx context.Context, date string) (err error) {
	git := func(args ...string) string {
		var text string
		if err == nil {
			text, err = output(ctx, r.Source, nil, "git", args...)
		}
		return strings.TrimSpace(text)
	}
	if r.Version == "" {
		r.Version = strings.TrimPrefix(git("describe", "--tags", "--always", "--dirty"), "v")
	}
	if r.Commit == "" {
		r.Commit = git("rev-parse", "HEAD")
	}
	if date == "" {
		date = git("log", "-1", "--format=%cI")
	}
	if err != nil {
		return err
	}
	if !versions.MatchString(r.Version) || !versions.MatchString(r.Commit) {
		return fmt.Errorf("%q is no version, or %q no commit", r.Version, r.Commit)
	}
	r.Date, err = time.Parse(time.RFC3339, date)
	r.Date = r.Date.UTC()
	return err
}

func (r *Release) build(ctx context.Context) error {
	if err := os.RemoveAll(r.Out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.Out, 0o755); err != nil {
		return err
	}
	var all []Module
	binaries := map[string]string{}
	for _, platform := range r.Platforms {
		began := time.Now()
		binary, err := r.compile(ctx, platform)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		modules, err := linked(ctx, r.Source, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		if err := r.bill(binary, platform, modules); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		binaries[platform] = binary
		all = append(all, modules...)
		fmt.Printf("%s: %d modules, %s\n", filepath.Base(binary), len(modules), time.Since(began).Round(time.Second))
	}
	notices := filepath.Join(r.Out, "THIRD_PARTY_NOTICES")
	text, err := Notices(all)
	if err != nil {
		return err
	}
	if err := os.WriteFile(notices, text, 0o644); err != nil {
		return err
	}
	for _, platform := range r.Platforms {
		if err := r.archive(platform, binaries[platform], notices); err != nil {
			return err
		}
	}
	return r.sums()
}

// name is that of a file for a platform.
func (r *Release) name(platform string) string {
	return "uaol_" + r.Version + "_" + strings.ReplaceAll(platform, "/", "_")
}

// compile builds the binary. What the machine has set for its own builds does not
// count; where modules come from and are kept does.
func (r *Release) compile(ctx context.Context, platform string) (string, error) {
	system, machine, ok := strings.Cut(platform, "/")
	if !ok {
		return "", errors.New("say system/machine, such as linux/amd64")
	}
	binary := filepath.Join(r.Out, r.name(platform))
	flags := fmt.Sprintf("-s -w -X uaol/app.Version=%s -X uaol/app.Commit=%s -X uaol/app.Date=%s", r.Version, r.Commit, r.Date.Format(time.RFC3339))
	env := []string{"GOOS=" + system, "GOARCH=" + machine, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GOENV=off", "GODEBUG="}
	_, err := output(ctx, r.Source, env, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "nomsgpack,grpcnotrace", "-ldflags", flags, "-o", binary, "./cmd/uaol")
	if err == nil {
		err = os.Chmod(binary, 0o755) // whatever the umask
	}
	return binary, err
}

// sums writes SHA256SUMS, as sha256sum -c reads it.
func (r *Release) sums() error {
	entries, err := os.ReadDir(r.Out)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(r.Out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return os.WriteFile(filepath.Join(r.Out, "SHA256SUMS"), text.Bytes(), 0o644)
}

// output runs a program; its error says what the program said.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	command.Env = append(slices.Clip(os.Environ()), env...)
	var said bytes.Buffer
	command.Stderr = &said
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, said.String())
	}
	return string(text), nil
}
