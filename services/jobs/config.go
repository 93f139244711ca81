package jobs

import (
	"strconv"

	"uaol/providers/config"
)

// Config is how much is worked on at once.
type Config struct {
	Concurrency int `env:"UAOL_JOBS_CONCURRENCY" envDefault:"1000" want:"a whole number, 1 to 100000" doc:"jobs that one process works on at the same time"`
}

// Check refuses what can't be worked with.
func (c *Config) Check() error {
	if c.Concurrency < 1 || c.Concurrency > 100_000 {
		return &config.Fault{Variable: "UAOL_JOBS_CONCURRENCY", Value: strconv.Itoa(c.Concurrency), Want: "a whole number, 1 to 100000"}
	}
	return nil
}
