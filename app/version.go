package app

import (
	"runtime"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/migrations"
	"uaol/services"
)

// A release build sets these three. Commit and Date are otherwise what the
// toolchain knows of the working tree, if anything.
var (
	Version = "0.1.0-dev"
	Commit  = ""
	Date    = "" // of the commit, as RFC 3339
)

// About is what this binary is.
type About struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the tree had changes beside the commit
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Modules  int    `json:"modules"` // of others, that it is linked with
	// Migrations are the newest versions of the services' tables that it brings.
	Migrations map[services.Name]uint `json:"migrations"`
	// Protocols are what it speaks with others, and in which versions, newest first.
	Protocols map[string][]string `json:"protocols"`
}

// Describe says what this binary is.
func Describe() About {
	a := About{
		Version: Version, Commit: Commit, Date: Date, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Migrations: map[services.Name]uint{},
		Protocols: map[string][]string{
			"mcp":               mcp.SupportedProtocolVersions(),
			"openapi":           {"3.1.0"},
			"standard-webhooks": {"1"},
		},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		a.Modules = len(info.Deps)
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && a.Commit == "":
				a.Commit = s.Value
			case s.Key == "vcs.time" && a.Date == "":
				a.Date = s.Value
			case s.Key == "vcs.modified" && Commit == "":
				a.Modified = s.Value == "true"
			}
		}
	}
	for _, owner := range migrations.Owners() {
		a.Migrations[owner] = migrations.Latest(owner)
	}
	return a
}
