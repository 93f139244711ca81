package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	mit = `MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`
	gpl = `This program is free software: you can redistribute it and/or modify it under the
terms of the GNU General Public License as published by the Free Software Foundation,
either version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY;
without even the implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.
See the GNU General Public License for more details.

You should have received a copy of the GNU General Public License along with this program.
If not, see <https://www.gnu.org/licenses/>.`
	mpl = `This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
If a copy of the MPL was not distributed with this file, You can obtain one at
https://mozilla.org/MPL/2.0/.`
	patents = `Additional IP Rights Grant (Patents)

"This implementation" means the copyrightable works distributed by
Google as part of the Go project.`
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, want, refusal string
		texts               []string
	}{
		"permissive":         {texts: []string{mit}, want: "MIT"},
		"copyleft":           {texts: []string{gpl}, refusal: "is under GPL-3.0"},
		"copyleft beside":    {texts: []string{mit, gpl}, refusal: "is under GPL-3.0"},
		"copyleft below":     {texts: []string{mit + "\n\n" + gpl}, refusal: "is under GPL-3.0"},
		"by file":            {texts: []string{mpl}, refusal: "is under MPL-2.0"},
		"by file, named":     {texts: []string{mpl}, path: "github.com/hashicorp/hcl", want: "MPL-2.0"},
		"not that one":       {texts: []string{gpl}, path: "github.com/hashicorp/hcl", refusal: "is under GPL-3.0"},
		"unknown":            {texts: []string{"You may use this on Tuesdays."}, refusal: "its licence is unknown"},
		"none":               {refusal: "its licence is unknown (0 files looked at)"},
		"a part of it known": {texts: []string{strings.Repeat("You may use this on Tuesdays, and give it to nobody else. ", 60) + mit}, refusal: "its licence is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := Module{Path: c.path, Version: "v1.0.0"}
			if m.Path == "" {
				m.Path = "example.com/x"
			}
			for _, text := range c.texts {
				m.Texts = append(m.Texts, Text{"LICENSE", text})
			}
			err := m.classify()
			switch {
			case c.refusal == "" && err != nil:
				t.Error(err)
			case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
				t.Errorf("%v; want %q", err, c.refusal)
			case m.Licence != c.want:
				t.Errorf("it is %q", m.Licence)
			}
		})
	}
}

// TestWhereLicencesAre: beside the module's code, and beside that of packages in use.
func TestWhereLicencesAre(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"LICENSE": mit, "PATENTS": patents, "used/deep/NOTICE.txt": "Somebody else made this.", "used/LICENSE-MIT": mit,
		"unused/COPYING": gpl, "license.go": "package x", "used/README": gpl,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := Module{Path: "example.com/x", Version: "v1.0.0"}
	if err := m.read(root, []string{filepath.Join(root, "used", "deep")}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, text := range m.Texts {
		names = append(names, text.Name)
	}
	if want := []string{"LICENSE", "PATENTS", "used/LICENSE-MIT", "used/deep/NOTICE.txt"}; !slices.Equal(names, want) || m.Licence != "MIT" {
		t.Errorf("%v, %s", names, m.Licence)
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	a := Module{Path: "example.com/a", Version: "v1.0.0", Licence: "MIT", Texts: []Text{{"LICENSE", mit}}}
	b := Module{Path: "example.com/b", Version: "v2.0.0", Licence: "MIT", Texts: []Text{{"LICENSE", mit}, {"NOTICE", "By b."}}}
	text, err := Notices([]Module{b, a, b})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Notices([]Module{a, b})
	if err != nil || !bytes.Equal(text, other) {
		t.Error("their order and number count")
	}
	for part, times := range map[string]int{"example.com/a v1.0.0 (MIT)\n": 1, "example.com/b v2.0.0, NOTICE\n\nBy b.\n": 1, "Permission is hereby granted": 1} {
		if got := strings.Count(string(text), part); got != times {
			t.Errorf("%q stands there %d times", part, got)
		}
	}
	if _, err := Notices(nil); err == nil {
		t.Error("nothing is linked, and nobody minds")
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	const a, b = "11  x\n22  y\n", "11  x\n33  y\n"
	if err := same(a, a); err != nil {
		t.Error(err)
	}
	if err := same(a, b); err == nil || !strings.HasSuffix(err.Error(), "differ in: y") {
		t.Error(err)
	}
	if same("", "") == nil {
		t.Error("nothing was built, and nobody minds")
	}
}

// TestVersions: what goes into flags and file names is a version.
func TestVersions(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "-X", "1 -X main.x=y", "../1", "1/2", "1\n"} {
		r := Release{Version: bad, Commit: "abc"}
		if bad == "" {
			r = Release{Version: "1", Commit: "-"}
		}
		if err := r.identify(t.Context(), "2026-01-01T00:00:00Z"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// program is the smallest that can be released.
func program(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module uaol\n\ngo 1.26\n",
		"app/app.go":       "package app\n\nvar Version, Commit, Date string\n",
		"cmd/uaol/main.go": "package main\n\nimport \"uaol/app\"\n\nfunc main() { println(app.Version, app.Commit, app.Date) }\n",
		"LICENSE":          mit, "README.md": "x", "CHANGELOG.md": "y",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestRelease of a small program: everything is there, says the same twice, and
// the binary is what was asked for. `make release-check` does so with the real one.
func TestRelease(t *testing.T) {
	here := runtime.GOOS + "/" + runtime.GOARCH
	var sums [2]string
	for i := range sums {
		root := program(t)
		if i == 1 {
			t.Setenv("GOFLAGS", "-ldflags=-w")
			t.Setenv("GOAMD64", "v3")
			if err := os.Chtimes(filepath.Join(root, "README.md"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(root, "README.md"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := run(t.Context(), []string{"-source", root, "-version", "1.2.3", "-commit", "abc", "-date", "2026-01-01T01:00:00+01:00", "-platforms", here})
		if err != nil {
			t.Fatal(err)
		}
		dist := filepath.Join(root, "dist")
		name := "uaol_1.2.3_" + runtime.GOOS + "_" + runtime.GOARCH
		said, err := exec.Command(filepath.Join(dist, name)).CombinedOutput()
		if err != nil || string(said) != "1.2.3 abc 2026-01-01T00:00:00Z\n" {
			t.Errorf("it says %q, %v", said, err)
		}
		var b bom
		text, err := os.ReadFile(filepath.Join(dist, name+".cdx.json"))
		if err != nil || json.Unmarshal(text, &b) != nil || b.Format != "CycloneDX" || len(b.Components) != 1 || b.Components[0].Licences[0].Expression != "BSD-3-Clause" ||
			b.Components[0].PURL != "pkg:golang/std@"+strings.TrimPrefix(runtime.Version(), "go") {
			t.Errorf("the SBOM: %s, %v", text, err)
		}
		if got := unpacked(t, filepath.Join(dist, name+".tar.gz")); !slices.Equal(got, []string{"CHANGELOG.md", "LICENSE", "README.md", "THIRD_PARTY_NOTICES", "uaol"}) {
			t.Errorf("the archive has %v", got)
		}
		sum, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		if err != nil || strings.Count(string(sum), "\n") != 4 {
			t.Errorf("sums of %s, %v", sum, err)
		}
		sums[i] = string(sum)
	}
	if err := same(sums[0], sums[1]); err != nil {
		t.Error(err)
	}
}

func unpacked(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for packed := tar.NewReader(compressed); ; {
		header, err := packed.Next()
		if err == io.EOF {
			slices.Sort(names)
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(header.Name))
	}
}
