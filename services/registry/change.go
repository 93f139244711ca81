package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"uaol/providers/egress"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Change is what a tool's owner decides. What is nil stays as it is.
type Change struct {
	// Of the tool itself: counts at once.
	Name             *string
	Description      *string
	Tags             *[]string
	DocumentationURL *string
	// Of its definition: makes a version.
	GatewayURL *string
	Price      *int64
	Protocol   *string
	Prices     *map[string]int64
	Visibility *Visibility
	Inject     *credentials.Injection
	OAuth      **credentials.OAuth // pointing to nil: takes it away
	Limits     **Limits
	Command    **upstream.Command // platform admins only
	Egress     *[]string          // platform admins only
}

// applyTo changes what the tool itself says.
func (c Change) applyTo(t *Tool) {
	set(&t.Name, c.Name)
	set(&t.Description, c.Description)
	set(&t.DocumentationURL, c.DocumentationURL)
	set(&t.Tags, c.Tags)
}

// definition is another one with the changes.
func (c Change) definition(d Definition) Definition {
	set(&d.GatewayURL, c.GatewayURL)
	set(&d.Price, c.Price)
	set(&d.Protocol, c.Protocol)
	set(&d.Prices, c.Prices)
	set(&d.Visibility, c.Visibility)
	set(&d.Inject, c.Inject)
	set(&d.OAuth, c.OAuth)
	set(&d.Limits, c.Limits)
	set(&d.Command, c.Command)
	set(&d.Egress, c.Egress)
	if d.Protocol != upstream.ProtocolREST {
		d.Operations = nil
	}
	if d.Protocol != upstream.ProtocolStdio && c.Command == nil {
		d.Command = nil
	}
	return d
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// same reports whether two definitions mean the same, however they are spelt.
func same(a, b Definition) bool {
	return spelling(a) == spelling(b)
}

func spelling(d Definition) string {
	text, err := json.Marshal(d)
	if err != nil { // operations hold broken JSON: like nothing else
		return fmt.Sprintf("%p", &d)
	}
	if plain, err := jcs.Transform(text); err == nil {
		return string(plain)
	}
	return string(text)
}

// What a tool may say of itself.
const (
	maxTags      = 20
	maxTag       = 40
	maxEgress    = 10
	maxPrices    = 1000
	maxPriceName = 128
	maxTimeout   = 10 * 60 * 1000 // milliseconds
	maxLimit     = 1_000_000
)

var tagForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// tagsOf brings tags into their form: lower case, words joined by -, each once.
func tagsOf(given []string) ([]string, error) {
	tags := []string{}
	for i, text := range given {
		tag := strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
			return r == ' ' || r == '_' || r == '-'
		}), "-")
		if len(tag) > maxTag || !tagForm.MatchString(tag) {
			return nil, services.Faults(services.Fault{Path: fmt.Sprintf("body.tags[%d]", i), Message: fmt.Sprintf("must be of a-z, 0-9 and -, at most %d characters", maxTag)})
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) > maxTags {
		return nil, services.Faults(services.Fault{Path: "body.tags", Message: fmt.Sprintf("must be at most %d", maxTags)})
	}
	return tags, nil
}

// privileges reports what of a change only platform admins may ask for.
func (c Change) privileges(caller services.Caller) error {
	if caller.Admin() {
		return nil
	}
	switch {
	case c.Command != nil && *c.Command != nil, c.Protocol != nil && *c.Protocol == upstream.ProtocolStdio:
		return services.Errorf(services.Forbidden, "Only a platform admin may register a tool that is a command; serve it over HTTP, or ask an admin to run `uaol connect -- command`")
	case c.Egress != nil && len(*c.Egress) > 0:
		return services.Errorf(services.Forbidden, "Only a platform admin may open an address that is not public; ask one to run `uaol connect` with the tool's address")
	}
	return nil
}

// check judges the tool's own texts.
func (t *Tool) check() (err error) {
	var faults []services.Fault
	if strings.TrimSpace(t.Name) == "" {
		faults = append(faults, services.Fault{Path: "body.name", Message: "must not be empty"})
	}
	if t.DocumentationURL != "" {
		u, err := url.Parse(t.DocumentationURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
			faults = append(faults, services.Fault{Path: "body.documentation_url", Message: "must be a URL that begins with http:// or https://"})
		}
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	t.Tags, err = tagsOf(t.Tags)
	return err
}

// check judges a definition: all that can be said without asking anybody.
func (d Definition) check(policy *egress.Policy) error {
	var faults []services.Fault
	fault := func(path, format string, args ...any) {
		faults = append(faults, services.Fault{Path: "body." + path, Message: fmt.Sprintf(format, args...)})
	}
	if !slices.Contains([]string{upstream.ProtocolMCP, upstream.ProtocolSSE, upstream.ProtocolStdio, upstream.ProtocolJSONRPC, upstream.ProtocolREST}, d.Protocol) {
		fault("protocol", "must be one of mcp, sse, stdio, json-rpc and rest")
	}
	checkPrice := func(path string, price int64) {
		if price < 0 || price > MaxPrice {
			fault(path, "must be a whole number from 0 to %d", int64(MaxPrice))
		}
	}
	checkPrice("credit_cost_per_call", d.Price)
	if len(d.Prices) > maxPrices {
		fault("method_costs", "must name at most %d methods", maxPrices)
	}
	for name, price := range d.Prices {
		if name == "" || len(name) > maxPriceName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return hidden(r) != "" }) {
			fault("method_costs", "must be named by methods, of 1 to %d characters that can be seen", maxPriceName)
		}
		checkPrice("method_costs."+printable(name), price)
	}
	switch d.Visibility {
	case Public, Organization, Private:
	default:
		fault("visibility", "must be public, organization or private")
	}
	d.Limits.check(fault)
	checkCommand(d, fault)
	for _, f := range credentials.Check(d.Inject, d.OAuth) {
		fault(f.Path, "%s", f.Message)
	}
	for i, text := range d.Egress {
		if err := checkEgress(text); err != nil || i >= maxEgress {
			fault(fmt.Sprintf("egress[%d]", i), "must be one host and port such as localhost:3001, and at most %d of them", maxEgress)
		}
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	return d.checkAddresses(policy)
}

// checkAddresses asks the policy, with the tool's own exceptions in mind.
func (d Definition) checkAddresses(policy *egress.Policy) error {
	policy, err := policy.With(d.Egress)
	if err != nil {
		return atPath("body.egress", err)
	}
	if d.Protocol != upstream.ProtocolStdio {
		if err := policy.CheckURL(d.GatewayURL); err != nil {
			return atPath("body.gateway_url", err)
		}
	}
	if d.OAuth != nil {
		for path, address := range map[string]string{"authorize_url": d.OAuth.AuthorizeURL, "token_url": d.OAuth.TokenURL} {
			if address == "" {
				continue
			}
			if err := policy.CheckURL(address); err != nil {
				return atPath("body.oauth."+path, err)
			}
		}
	}
	return nil
}

func (l *Limits) check(fault func(path, format string, args ...any)) {
	if l == nil {
		return
	}
	for path, limit := range map[string]struct{ value, most int }{
		"per_minute": {l.PerMinute, maxLimit}, "per_user": {l.PerUser, maxLimit}, "concurrency": {l.Concurrency, 10_000}, "timeout_ms": {l.TimeoutMS, maxTimeout},
	} {
		if limit.value < 0 || limit.value > limit.most {
			fault("limits."+path, "must be a whole number from 0 to %d; 0 stands for the platform's own limit", limit.most)
		}
	}
}

// checkEgress takes one host and port, no pattern and no network.
func checkEgress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" || strings.ContainsAny(host, "/*?,% ") {
		return errors.New("no host and port")
	}
	return nil
}

// atPath says where in the input an error lies.
func atPath(path string, err error) error {
	return services.Faults(services.Fault{Path: path, Message: messageOf(err)})
}

// messageOf is an error's text for people; its cause is for the log.
func messageOf(err error) string {
	var e *services.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// checkCommand takes a program with arguments, which no shell reads.
func checkCommand(d Definition, fault func(path, format string, args ...any)) {
	stdio := d.Protocol == upstream.ProtocolStdio
	switch {
	case d.Command == nil && stdio:
		fault("command", "is needed for a stdio tool: its program and arguments")
	case d.Command != nil && !stdio:
		fault("command", "is for the protocol stdio alone")
	case d.Command == nil:
		return
	case d.Command.Path == "":
		fault("command.path", "must name a program")
	}
	if d.Command == nil {
		return
	}
	for _, text := range slices.Concat([]string{d.Command.Path, d.Command.Dir}, d.Command.Args, d.Command.Env) {
		if strings.ContainsRune(text, 0) || len(text) > 32<<10 {
			fault("command", "holds a text that no program can be given")
			return
		}
	}
}

// detailsOf is what an error holds for programs.
func detailsOf(err error) any {
	var e *services.Error
	if errors.As(err, &e) {
		return e.Details
	}
	return nil
}
