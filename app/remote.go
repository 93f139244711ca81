package app

import (
	"net/url"
	"strings"
	"time"

	"uaol/providers/config"
)

// Remote is which server commands such as `uaol connect` talk to, and as whom.
type Remote struct {
	URL    string        `env:"UAOL_URL" want:"a server's URL such as http://127.0.0.1:3000" doc:"server that uaol connect, uaol tools and uaol mcp talk to; default: the one on this machine, or one of their own on the data directory"`
	Key    string        `env:"UAOL_API_KEY" secret:"true" doc:"API key with which they do; on the data directory of this machine they make one"`
	Linger time.Duration `env:"UAOL_MCP_LINGER" envDefault:"10m" doc:"how long a server that uaol mcp has started goes on when no uaol mcp and no other command uses it any more"`
}

// Check refuses what is no server's address.
func (r *Remote) Check() error {
	if r.URL == "" {
		return nil
	}
	u, err := url.Parse(r.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return &config.Fault{Variable: "UAOL_URL", Value: r.URL, Want: "a server's URL such as http://127.0.0.1:3000"}
	}
	r.URL = strings.TrimRight(r.URL, "/")
	return nil
}
