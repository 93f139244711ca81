package proxy

import (
	"strconv"
	"time"

	"uaol/providers/config"
)

// Config is how much may be called, and how long it is remembered.
type Config struct {
	PerUser         int           `env:"UAOL_CALLS_PER_USER_MINUTE" envDefault:"600" want:"a whole number, 0 for any" doc:"tool calls that one account may make in a minute; 0 for any number"`
	PerOrganization int           `env:"UAOL_CALLS_PER_ORGANIZATION_MINUTE" envDefault:"6000" want:"a whole number, 0 for any" doc:"tool calls that an organisation may make in a minute; 0 for any number"`
	PerTool         int           `env:"UAOL_CALLS_PER_TOOL_MINUTE" envDefault:"6000" want:"a whole number, 0 for any" doc:"calls of one tool in a minute by all together, unless the tool has a limit of its own; 0 for any number"`
	PerUserAndTool  int           `env:"UAOL_CALLS_PER_USER_AND_TOOL_MINUTE" envDefault:"300" want:"a whole number, 0 for any" doc:"calls of one tool that one account may make in a minute, unless the tool has a limit of its own; 0 for any number"`
	Days            int           `env:"UAOL_CALLS_DAYS" envDefault:"90" want:"a whole number of days, 1 or more" doc:"days that the records of tool calls are kept"`
	View            time.Duration `env:"UAOL_TOOL_VIEW" envDefault:"15m" want:"a duration such as 15m" doc:"age at which what is known of a tool's methods is compared with its server again before a call"`
	HoldSeconds     int           `env:"UAOL_CALL_HOLD_SECONDS" envDefault:"900" want:"a whole number of seconds, 5 or more" doc:"seconds after which a call that nobody ended, because its process died, is recorded with an unknown outcome and charged; longer than any call lasts, which is 10 minutes at most"`
}

// Check refuses what can't be counted.
func (c *Config) Check() error {
	for variable, n := range map[string]int{
		"UAOL_CALLS_PER_USER_MINUTE": c.PerUser, "UAOL_CALLS_PER_ORGANIZATION_MINUTE": c.PerOrganization,
		"UAOL_CALLS_PER_TOOL_MINUTE": c.PerTool, "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": c.PerUserAndTool,
	} {
		if n < 0 {
			return &config.Fault{Variable: variable, Value: strconv.Itoa(n), Want: "a whole number, 0 for any"}
		}
	}
	switch {
	case c.Days < 1:
		return &config.Fault{Variable: "UAOL_CALLS_DAYS", Value: strconv.Itoa(c.Days), Want: "a whole number of days, 1 or more"}
	case c.View < time.Second:
		return &config.Fault{Variable: "UAOL_TOOL_VIEW", Value: c.View.String(), Want: "a duration such as 15m, of a second or more"}
	case c.HoldSeconds < 5:
		return &config.Fault{Variable: "UAOL_CALL_HOLD_SECONDS", Value: strconv.Itoa(c.HoldSeconds), Want: "a whole number of seconds, 5 or more"}
	}
	return nil
}
