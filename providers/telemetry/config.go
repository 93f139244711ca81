package telemetry

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"uaol/providers/config"
)

// Config is where traces and metrics are exported to. The names are OpenTelemetry's own.
type Config struct {
	Endpoint   string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" want:"a URL such as http://127.0.0.1:4318" doc:"collector that traces and metrics are sent to, over OTLP as HTTP with protobuf; off by default"`
	Headers    string `env:"OTEL_EXPORTER_OTLP_HEADERS" secret:"true" want:"pairs such as api-key=value, separated by commas, with values escaped as in URLs" doc:"headers that are sent with them, such as the collector's key"`
	Service    string `env:"OTEL_SERVICE_NAME" doc:"what this process calls itself there; default: uaol, and uaol-<service> where it does not run all"`
	Attributes string `env:"OTEL_RESOURCE_ATTRIBUTES" want:"pairs such as deployment.environment.name=production, separated by commas, with values escaped as in URLs" doc:"what else it says of itself"`
	Sampler    string `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on" want:"always_on, always_off, traceidratio, or one of them after parentbased_" doc:"which requests are traced; those after parentbased_ go by whoever calls, if that one traces"`
	Argument   string `env:"OTEL_TRACES_SAMPLER_ARG" want:"a number from 0 to 1" doc:"which part of all traces traceidratio takes"`

	headers, attributes map[string]string
	ratio               float64
}

// Check refuses what an exporter would only complain of later.
func (c *Config) Check() error {
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return &config.Fault{Variable: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: c.Endpoint, Want: "a URL such as http://127.0.0.1:4318, whose key is in OTEL_EXPORTER_OTLP_HEADERS"}
		}
		c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	}
	var err error
	if c.headers, err = pairs(c.Headers, headerForm); err != nil {
		return &config.Fault{Variable: "OTEL_EXPORTER_OTLP_HEADERS", Value: c.Headers, Secret: true, Want: "pairs such as api-key=value, separated by commas, with values escaped as in URLs"}
	}
	if c.attributes, err = pairs(c.Attributes, attributeForm); err != nil {
		return &config.Fault{Variable: "OTEL_RESOURCE_ATTRIBUTES", Value: c.Attributes, Want: "pairs such as deployment.environment.name=production, separated by commas, with values escaped as in URLs"}
	}
	switch strings.TrimPrefix(c.Sampler, "parentbased_") {
	case "always_on", "always_off", "traceidratio":
	default:
		return &config.Fault{Variable: "OTEL_TRACES_SAMPLER", Value: c.Sampler, Want: "always_on, always_off, traceidratio, or one of them after parentbased_"}
	}
	c.ratio = 1
	if c.Argument != "" {
		if c.ratio, err = strconv.ParseFloat(c.Argument, 64); err != nil || !(c.ratio >= 0 && c.ratio <= 1) {
			return &config.Fault{Variable: "OTEL_TRACES_SAMPLER_ARG", Value: c.Argument, Want: "a number from 0 to 1"}
		}
	}
	return nil
}

// Exports reports whether anything is exported.
func (c Config) Exports() bool { return c.Endpoint != "" }

// HeaderPairs are the headers by their names.
func (c Config) HeaderPairs() map[string]string { return c.headers }

// AttributePairs are what the process says of itself.
func (c Config) AttributePairs() map[string]string { return c.attributes }

// Ratio is which part of all traces is taken.
func (c Config) Ratio() float64 { return c.ratio }

var (
	headerForm    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	attributeForm = regexp.MustCompile(`^[^\s=,]+$`)
)

// pairs reads name=value,name=value, with the values escaped as in URLs.
func pairs(text string, name *regexp.Regexp) (map[string]string, error) {
	found := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || !name.MatchString(key) || strings.ContainsAny(plain, "\r\n\x00") {
			return nil, fmt.Errorf("%q is no pair", key)
		}
		if name == headerForm {
			key = http.CanonicalHeaderKey(key)
		}
		found[key] = plain
	}
	return found, nil
}
