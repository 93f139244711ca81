package jobs

import (
	"strconv"

	"uaol/providers/config"
)

// Config is how much is worked on at once.
type Config struct {
	Concurrency int `env:"UAOL_JOBS_CONCURRENCY" envDefault:"1000" want:"a whole number, 1 to 100000" doc:"jobs that one process works on at the same time"`
	ArchiveDays int `env:"UAOL_JOBS_ARCHIVE_DAYS" envDefault:"30" want:"a whole number of days, 1 or more" doc:"days after which a job that has ended is put away, compressed; it can be read as before, for as long as the plan keeps history"`
}

// Check refuses what can't be worked with.
func (c *Config) Check() error {
	if c.Concurrency < 1 || c.Concurrency > 100_000 {
		return &config.Fault{Variable: "UAOL_JOBS_CONCURRENCY", Value: strconv.Itoa(c.Concurrency), Want: "a whole number, 1 to 100000"}
	}
	if c.ArchiveDays < 1 {
		return &config.Fault{Variable: "UAOL_JOBS_ARCHIVE_DAYS", Value: strconv.Itoa(c.ArchiveDays), Want: "a whole number of days, 1 or more"}
	}
	return nil
}
