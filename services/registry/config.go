package registry

import (
	"time"

	"uaol/providers/config"
)

// Config is how the registry looks after its tools.
type Config struct {
	Look time.Duration `env:"UAOL_TOOL_CHECK" envDefault:"5m" want:"a duration of 10s or more such as 5m" doc:"how often the server of each approved tool is looked at: whether it answers, and whether its methods are those that were approved"`
}

const (
	defaultLook = 5 * time.Minute
	shortLook   = 10 * time.Second
)

// Check refuses looks that would be a load for the tools' servers.
func (c *Config) Check() error {
	if c.Look < shortLook {
		return &config.Fault{Variable: "UAOL_TOOL_CHECK", Value: c.Look.String(), Want: "a duration of 10s or more such as 5m"}
	}
	return nil
}
