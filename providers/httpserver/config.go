// Package httpserver is the process's one listener: it mounts the services'
// operations on a gin engine and serves it until the process stops.
package httpserver

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"uaol/providers/config"
	"uaol/services"
)

// Config is where and how this process serves.
type Config struct {
	Addr     string         `env:"UAOL_ADDR" want:"an address such as :8080 or 127.0.0.1:0" doc:"address to listen on; default: all interfaces, on the port of the first service that runs here (--addr sets it too)"`
	Gateway  string         `env:"API_GATEWAY_PORT" envDefault:"3000" doc:"port of a process that runs the gateway"`
	Auth     string         `env:"AUTH_SERVICE_PORT" envDefault:"3001" doc:"port of a process that runs auth but not the gateway"`
	Registry string         `env:"TOOL_REGISTRY_SERVICE_PORT" envDefault:"3002" doc:"port of a process whose first service is the registry"`
	Jobs     string         `env:"JOB_ORCHESTRATION_SERVICE_PORT" envDefault:"3003" doc:"port of a process whose first service is jobs"`
	Proxy    string         `env:"TOOL_PROXY_SERVICE_PORT" envDefault:"3004" doc:"port of a process whose first service is the proxy"`
	Billing  string         `env:"BILLING_SERVICE_PORT" envDefault:"3005" doc:"port of a process whose first service is billing"`
	Storage  string         `env:"STORAGE_SERVICE_PORT" envDefault:"3006" doc:"port of a process that runs storage alone"`
	Cert     string         `env:"UAOL_TLS_CERT" want:"the path of a PEM file, together with UAOL_TLS_KEY" doc:"certificate that this process serves TLS with (1.3 at least, HTTP/2 too), followed by those that lead to its authority; read again when the file changes. Without it plain HTTP is served; a process without the gateway serves with UAOL_PEER_TLS_CERT if that is set"`
	Key      string         `env:"UAOL_TLS_KEY" want:"the path of a PEM file, together with UAOL_TLS_CERT" doc:"private key of UAOL_TLS_CERT"`
	Proxies  []string       `env:"UAOL_TRUSTED_PROXIES" want:"CIDRs or addresses such as 10.0.0.0/8, separated by commas" doc:"balancers before this process, whose X-Forwarded-For, X-Forwarded-Proto and Forwarded say where requests come from; nobody else's word counts"`
	Public   string         `env:"UAOL_PUBLIC_URL" want:"an http or https URL without query" doc:"address under which clients reach the gateway, without a path where MCP clients sign people in: their tokens are for this address. Without it, it is what each client calls us, and for tools' authorization servers, which send people back to /tools/oauth/callback, http://localhost:3000"`
	Most     int            `env:"UAOL_MAX_CONNECTIONS" envDefault:"20000" want:"a whole number of connections, 1 or more" doc:"connections that are open at once; further ones wait"`
	Origins  []string       `env:"UAOL_CORS_ORIGINS" envDefault:"*" want:"origins such as https://app.example.com, separated by commas, or *" doc:"origins whose pages may call this API from a browser, such as https://app.example.com or https://*.example.com"`
	Delay    *time.Duration `env:"UAOL_DRAIN_DELAY" want:"a time such as 2s, shorter than UAOL_DRAIN_TIMEOUT" doc:"how long a process that stops goes on taking requests, while it says that it stops; longer than others keep idle connections to it (our own services: 1 s) and than balancers take to hear of it; default: 2s, and 0s for everything in one process in development"`
	Drain    time.Duration  `env:"UAOL_DRAIN_TIMEOUT" envDefault:"15s" doc:"how long open requests may go on when the process stops, with UAOL_DRAIN_DELAY in it"`
}

// Check refuses what is not a port.
func (c *Config) Check() error {
	for _, p := range c.ports() {
		if n, err := strconv.Atoi(p.port); err != nil || n < 0 || n > 65535 {
			return &config.Fault{Variable: p.variable, Value: p.port, Want: "a port from 1 to 65535"}
		}
	}
	if c.Delay != nil && (*c.Delay < 0 || *c.Delay >= c.Drain) {
		return &config.Fault{Variable: "UAOL_DRAIN_DELAY", Value: c.Delay.String(), Want: "a time such as 2s, shorter than UAOL_DRAIN_TIMEOUT (" + c.Drain.String() + ")"}
	}
	if c.Addr != "" {
		_, port, err := net.SplitHostPort(c.Addr)
		if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
			return &config.Fault{Variable: "UAOL_ADDR", Value: c.Addr, Want: "an address such as :8080 or 127.0.0.1:0"}
		}
	}
	return c.checkEdge()
}

// checkEdge refuses half a pair, and what would let in others than was meant.
func (c *Config) checkEdge() error {
	if (c.Cert == "") != (c.Key == "") {
		missing := "UAOL_TLS_CERT"
		if c.Cert != "" {
			missing = "UAOL_TLS_KEY"
		}
		return &config.Fault{Variable: missing, Want: "the path of a PEM file, because the other of UAOL_TLS_CERT and UAOL_TLS_KEY is set"}
	}
	c.Public = strings.TrimRight(c.Public, "/")
	if u, err := url.Parse(c.Public); c.Public != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "") {
		return &config.Fault{Variable: "UAOL_PUBLIC_URL", Value: c.Public, Want: "an http or https URL without query"}
	}
	if _, err := parseProxies(c.Proxies); err != nil {
		return err
	}
	if c.Most < 1 {
		return &config.Fault{Variable: "UAOL_MAX_CONNECTIONS", Value: strconv.Itoa(c.Most), Want: "a whole number of connections, 1 or more"}
	}
	return checkOrigins(c.Origins)
}

type port struct {
	service        services.Name
	variable, port string
}

// ports in the order in which a process takes them.
func (c *Config) ports() []port {
	return []port{
		{services.Gateway, "API_GATEWAY_PORT", c.Gateway},
		{services.Auth, "AUTH_SERVICE_PORT", c.Auth},
		{services.Registry, "TOOL_REGISTRY_SERVICE_PORT", c.Registry},
		{services.Proxy, "TOOL_PROXY_SERVICE_PORT", c.Proxy},
		{services.Jobs, "JOB_ORCHESTRATION_SERVICE_PORT", c.Jobs},
		{services.Billing, "BILLING_SERVICE_PORT", c.Billing},
		{services.Storage, "STORAGE_SERVICE_PORT", c.Storage},
	}
}

// Address is where a process whose first service is given listens, and the
// variable that says so.
func (c *Config) Address(first services.Name) (addr, variable string) {
	if c.Addr != "" {
		return c.Addr, "UAOL_ADDR"
	}
	for _, p := range c.ports() {
		if p.service == first {
			return ":" + p.port, p.variable
		}
	}
	return fmt.Sprintf(":%s", c.Gateway), "API_GATEWAY_PORT"
}
