package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Module is one that a binary was linked with, and its licence.
type Module struct {
	Path, Version, Sum string
	Licence            string // SPDX's names, joined with AND
	Texts              []Text
}

// Text is a file that has to go with copies.
type Text struct{ Name, Content string }

// standard is the name that SBOMs have for Go's own library.
const standard = "std"

// linked reads a binary's modules out of the binary itself, and their licences out of
// the directories that they were compiled from.
func linked(ctx context.Context, source, binary string) ([]Module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	setting := map[string]string{}
	for _, s := range info.Settings {
		setting[s.Key] = s.Value
	}
	dirs, err := packages(ctx, source, []string{"GOOS=" + setting["GOOS"], "GOARCH=" + setting["GOARCH"], "CGO_ENABLED=0", "GOFLAGS="}, setting["-tags"])
	if err != nil {
		return nil, err
	}
	var modules []Module
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			return nil, fmt.Errorf("%s is replaced: a release is of what go.mod requires", dep.Path)
		}
		m := Module{Path: dep.Path, Version: dep.Version, Sum: dep.Sum}
		if len(dirs[dep.Path]) == 0 {
			return nil, fmt.Errorf("%s is in the binary, and go list does not know it", dep.Path)
		}
		if err := m.read(dirs[dep.Path][0], dirs[dep.Path][1:]); err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	library := Module{Path: standard, Version: strings.TrimPrefix(info.GoVersion, "go")}
	root, err := output(ctx, source, nil, "go", "env", "GOROOT")
	if err == nil {
		err = library.read(strings.TrimSpace(root), nil)
	}
	return append(modules, library), err
}

// packages lists, for each module, its directory and those of its packages that the
// program consists of.
func packages(ctx context.Context, source string, env []string, tags string) (map[string][]string, error) {
	text, err := output(ctx, source, env, "go", "list", "-deps", "-tags", tags, "-json=Dir,Module", "./cmd/uaol")
	if err != nil {
		return nil, err
	}
	dirs := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var p struct {
			Dir    string
			Module *struct{ Path, Dir string }
		}
		if err := decoder.Decode(&p); err == io.EOF {
			return dirs, nil
		} else if err != nil {
			return nil, err
		}
		if m := p.Module; m != nil {
			if dirs[m.Path] == nil {
				dirs[m.Path] = []string{m.Dir}
			}
			dirs[m.Path] = append(dirs[m.Path], p.Dir)
		}
	}
}

// legal are names that files with licences and notices have.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|unlicense)s?([._-].*)?$`)

// read finds the texts: in the module's directory, in those of the packages in use,
// and in those on the way.
func (m *Module) read(root string, used []string) error {
	dirs := []string{root}
	for _, dir := range used {
		for ; strings.HasPrefix(dir, root+string(filepath.Separator)); dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() || !legal.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			m.Texts = append(m.Texts, Text{filepath.ToSlash(name), strings.TrimSpace(strings.ReplaceAll(string(content), "\r\n", "\n"))})
		}
	}
	if m.Path == standard && m.Version == "" {
		m.Version = strings.TrimPrefix(runtime.Version(), "go")
	}
	m.Texts = append(m.Texts, inside[m.Path]...)
	return m.classify()
}
