package config

import (
	"path/filepath"
	"strings"
)

// Process is what concerns the process as a whole.
type Process struct {
	Mode    string `env:"UAOL_ENV" want:"development or production" doc:"development (default) or production; NODE_ENV=production counts too"`
	NodeEnv string `env:"NODE_ENV" doc:"the original's name for UAOL_ENV"`
	DataDir string `env:"UAOL_DATA_DIR" envDefault:".uaol" doc:"directory for what this process keeps itself: the embedded database, generated secrets, files"`
	EnvFile string `env:"UAOL_ENV_FILE" envDefault:".env" doc:"file to read settings from before anything is built; real variables win over it"`
}

// Check makes the data directory absolute and refuses unknown modes.
func (p *Process) Check() error {
	switch strings.ToLower(p.Mode) {
	case "", "development", "production", "test":
	default:
		return &Fault{Variable: "UAOL_ENV", Value: p.Mode, Want: "development or production"}
	}
	dir, err := filepath.Abs(p.DataDir)
	if err != nil {
		return &Fault{Variable: "UAOL_DATA_DIR", Value: p.DataDir, Want: "a directory's path"}
	}
	p.DataDir = dir
	return nil
}

// Production reports whether conveniences (generated secrets, the embedded
// database, migrations at start) are off.
func (p Process) Production() bool {
	if p.Mode != "" {
		return strings.EqualFold(p.Mode, "production")
	}
	return strings.EqualFold(p.NodeEnv, "production")
}
