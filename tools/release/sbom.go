package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// The parts of CycloneDX 1.6 that are used; https://cyclonedx.org/docs/1.6/json/.
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licences   []licence  `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licence struct {
	Expression string `json:"expression"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// bill writes the binary's SBOM beside it. Its number follows from what it is about,
// so that the same release has the same.
func (r *Release) bill(binary, platform string, modules []Module) error {
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	b := bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Serial: "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, sum[:]).String(),
		Metadata: metadata{
			Timestamp: r.Date.Format(time.RFC3339),
			Component: component{
				Type: "application", Ref: "uaol", Name: "uaol", Version: r.Version,
				Hashes:     []hash{{"SHA-256", fmt.Sprintf("%x", sum)}},
				Licences:   []licence{{"Apache-2.0"}},
				Properties: []property{{"uaol:commit", r.Commit}, {"uaol:platform", platform}},
			},
		},
	}
	root := dependency{Ref: "uaol"}
	for _, m := range modules {
		c := component{Type: "library", Name: m.Path, Version: m.Version, Licences: []licence{{m.Licence}}}
		c.PURL = "pkg:golang/" + m.Path + "@" + m.Version
		c.Ref = c.PURL
		if m.Sum != "" { // of the module's files, as go.sum has it
			c.Properties = []property{{"go:sum", m.Sum}}
		}
		b.Components = append(b.Components, c)
		root.On = append(root.On, c.Ref)
	}
	b.Dependencies = []dependency{root}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Out, r.name(platform)+".cdx.json"), text.Bytes(), 0o644)
}
