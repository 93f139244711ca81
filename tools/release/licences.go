package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// permissive are the licences that ask for no more than their own text and notices.
var permissive = []string{"MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "CC0-1.0", "Unlicense", "0BSD", "BSL-1.0", "PostgreSQL"}

// besides are licences of something else in a module than its code, and grants that
// come on top of a licence.
var besides = []string{"GooglePatentsFile", "GooglePatentClause", "CC-BY-4.0", "CC-BY-3.0"}

// byFile are modules under the Mozilla Public License 2.0, each named, with who needs
// it. It binds their own files alone: whoever passes the program on has to say where
// these are to be had, which the notices do. They are used as they are.
var byFile = map[string]string{
	"github.com/openbao/openbao/api/v2":               "SECRETS_MANAGER_TYPE=vault",
	"github.com/hashicorp/errwrap":                    "openbao/api",
	"github.com/hashicorp/go-cleanhttp":               "openbao/api",
	"github.com/hashicorp/go-multierror":              "openbao/api",
	"github.com/hashicorp/go-retryablehttp":           "openbao/api",
	"github.com/hashicorp/go-rootcerts":               "openbao/api",
	"github.com/hashicorp/go-secure-stdlib/parseutil": "openbao/api",
	"github.com/hashicorp/go-secure-stdlib/strutil":   "openbao/api",
	"github.com/hashicorp/go-sockaddr":                "openbao/api",
	"github.com/hashicorp/hcl":                        "openbao/api",
}

//go:embed pdfium.txt
var pdfium string

// inside are licences of what a module contains and does not say itself.
var inside = map[string][]Text{
	"github.com/klippa-app/go-pdfium": {{"webassembly/pdfium.wasm", strings.TrimSpace(pdfium)}},
}

// enough is how much of a text has to be a known licence, in percent of its words; the
// rest are names, years and headings.
const enough = 75

// classify names the module's licence, or says why it may not be in the program.
func (m *Module) classify() error {
	found := map[string]bool{}
	sure := false
	for _, text := range m.Texts {
		cover := licensecheck.Scan([]byte(text.Content))
		sure = sure || cover.Percent >= enough
		for _, match := range cover.Match {
			if !match.IsURL {
				found[match.ID] = true
			}
		}
	}
	if len(found) == 0 || !sure {
		return fmt.Errorf("%s %s: its licence is unknown (%d files looked at): find it out, or take something else", m.Path, m.Version, len(m.Texts))
	}
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if slices.Contains(besides, id) {
			continue
		}
		if _, named := byFile[m.Path]; !slices.Contains(permissive, id) && (id != "MPL-2.0" || !named) {
			return fmt.Errorf("%s %s is under %s, which is none of %s", m.Path, m.Version, id, strings.Join(permissive, ", "))
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return fmt.Errorf("%s %s: there is a grant and no licence", m.Path, m.Version)
	}
	m.Licence = strings.Join(ids, " AND ")
	return nil
}

// Notices is what THIRD_PARTY_NOTICES says of the modules of all platforms. Equal
// texts stand there once.
func Notices(modules []Module) ([]byte, error) {
	if len(modules) == 0 {
		return nil, errors.New("no module is linked at all: that can't be")
	}
	modules = slices.Clone(modules)
	slices.SortFunc(modules, func(a, b Module) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version)) })
	modules = slices.CompactFunc(modules, func(a, b Module) bool { return a.Path == b.Path && a.Version == b.Version })

	var out bytes.Buffer
	out.WriteString("uaol is linked with the following. Source code of each is at its path, in the version given.\n\n")
	texts := map[string][]string{}
	var order []string
	for _, m := range modules {
		fmt.Fprintf(&out, "%s %s (%s)\n", m.Path, m.Version, m.Licence)
		for _, text := range m.Texts {
			if texts[text.Content] == nil {
				order = append(order, text.Content)
			}
			texts[text.Content] = append(texts[text.Content], m.Path+" "+m.Version+", "+text.Name)
		}
	}
	for _, content := range order {
		out.WriteString("\n" + strings.Repeat("-", 80) + "\n")
		for _, where := range texts[content] {
			out.WriteString(where + "\n")
		}
		out.WriteString("\n" + content + "\n")
	}
	return out.Bytes(), nil
}
