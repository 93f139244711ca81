package console

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// toolForm is a tool as a form has it, each field as it is typed.
type toolForm struct {
	Name, Description, Tags, Docs        string
	Address, Protocol, Visibility        string
	Price, Prices                        string // Prices are lines of method = credits
	PerMinute, PerUser, AtOnce, Timeout  string
	Headers, Arguments, Env              string // lines of name: value
	Grant, Client, Scopes                string
	AuthorizeURL, TokenURL, Resource     string
	Program, Args, Variables, Dir, Opens string
}

// newToolForm is a new tool's, with what the API takes where nothing is said.
var newToolForm = toolForm{Protocol: "mcp", Visibility: "public", Price: "1"}

// places are the fields by the names of their controls, which are those of their faults
// in the API.
func (f *toolForm) places() map[string]*string {
	return map[string]*string{
		"name": &f.Name, "description": &f.Description, "tags": &f.Tags, "documentation_url": &f.Docs,
		"gateway_url": &f.Address, "protocol": &f.Protocol, "visibility": &f.Visibility,
		"credit_cost_per_call": &f.Price, "method_costs": &f.Prices,
		"limits.per_minute": &f.PerMinute, "limits.per_user": &f.PerUser, "limits.concurrency": &f.AtOnce, "limits.timeout_ms": &f.Timeout,
		"inject.headers": &f.Headers, "inject.arguments": &f.Arguments, "inject.env": &f.Env,
		"oauth.grant": &f.Grant, "oauth.client_id": &f.Client, "oauth.scopes": &f.Scopes,
		"oauth.authorize_url": &f.AuthorizeURL, "oauth.token_url": &f.TokenURL, "oauth.resource": &f.Resource,
		"command.path": &f.Program, "command.args": &f.Args, "command.env": &f.Variables, "command.dir": &f.Dir, "egress": &f.Opens,
	}
}

// toolFormSent is the form as it was sent.
func (v *visit) toolFormSent() (f toolForm) {
	for name, field := range f.places() {
		*field = strings.ReplaceAll(strings.TrimSpace(v.form(name)), "\r\n", "\n")
	}
	return f
}

// toolFormOf is a tool's as it would be if what waits counted.
func toolFormOf(t tool) toolForm {
	f := toolForm{
		Name: t.Name, Description: strings.TrimSpace(strings.ReplaceAll(t.Description, "\r\n", "\n")), Tags: strings.Join(t.Tags, ", "), Docs: t.Docs,
	}
	d := t.Proposed
	if d == nil {
		d = &toolDefinition{
			Address: t.Address, Protocol: t.Protocol, Price: t.Price, Prices: t.Prices, Visibility: t.Visibility,
			Command: t.Command, Egress: t.Egress, Inject: t.Inject, OAuth: t.OAuth, Limits: t.Limits,
		}
	}
	f.Address, f.Protocol, f.Visibility, f.Price = d.Address, d.Protocol, d.Visibility, strconv.FormatInt(d.Price, 10)
	f.Prices, f.Opens = written(d.Prices, " = ", func(n int64) string { return strconv.FormatInt(n, 10) }), strings.Join(d.Egress, "\n")
	if i := d.Inject; i != nil {
		same := func(text string) string { return text }
		f.Headers, f.Arguments, f.Env = written(i.Headers, ": ", same), written(i.Arguments, ": ", same), written(i.Env, ": ", same)
	}
	if o := d.OAuth; o != nil {
		f.Grant, f.Client, f.Scopes = o.Grant, o.ClientID, strings.Join(o.Scopes, " ")
		f.AuthorizeURL, f.TokenURL, f.Resource = o.AuthorizeURL, o.TokenURL, o.Resource
	}
	if l := d.Limits; l != nil {
		f.PerMinute, f.PerUser, f.AtOnce, f.Timeout = positive(l.PerMinute), positive(l.PerUser), positive(l.Concurrency), positive(l.TimeoutMS)
	}
	if c := d.Command; c != nil {
		f.Program, f.Args, f.Variables, f.Dir = c.Path, strings.Join(c.Args, "\n"), strings.Join(c.Env, "\n"), c.Dir
	}
	return f
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// written are pairs as lines.
func written[V any](pairs map[string]V, between string, text func(V) string) string {
	lines := make([]string, 0, len(pairs))
	for _, name := range sorted(pairs) {
		lines = append(lines, name+between+text(pairs[name]))
	}
	return strings.Join(lines, "\n")
}

// typed reads the fields of a form, and remembers what can't be read.
type typed struct{ faults map[string]string }

func (r typed) number(name, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
	if err != nil {
		r.faults["body."+name] = "must be a whole number"
	}
	return n
}

// pairs reads lines of a name, a sign and a value.
func (r typed) pairs(name, text, sign string) map[string]string {
	all := map[string]string{}
	for _, line := range listed(text, "\n") {
		key, value, ok := strings.Cut(line, sign)
		if key = strings.TrimSpace(key); !ok || key == "" {
			r.faults["body."+name] = "must have a name, " + sign + " and a value on each line"
			continue
		}
		all[key] = strings.TrimSpace(value)
	}
	return all
}

func (r typed) prices(text string) map[string]int64 {
	all := map[string]int64{}
	for method, price := range r.pairs("method_costs", text, "=") {
		all[method] = r.number("method_costs", price)
	}
	return all
}

// listed are the parts of a text that say something.
func listed(text, sign string) []string {
	parts := strings.Split(text, sign)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return slices.DeleteFunc(parts, func(part string) bool { return part == "" })
}

// change is what differs from before as the API takes it, with what can't be read.
func (f toolForm) change(before toolForm) (map[string]any, map[string]string) {
	body, r := map[string]any{}, typed{map[string]string{}}
	put := func(name string, differs bool, value func() any) {
		if differs {
			body[name] = value()
		}
	}
	text := func(name, now, was string) { put(name, now != was, func() any { return now }) }
	text("name", f.Name, before.Name)
	text("description", f.Description, before.Description)
	text("documentation_url", f.Docs, before.Docs)
	text("gateway_url", f.Address, before.Address)
	text("protocol", f.Protocol, before.Protocol)
	text("visibility", f.Visibility, before.Visibility)
	put("tags", f.Tags != before.Tags, func() any { return listed(f.Tags, ",") })
	put("egress", f.Opens != before.Opens, func() any { return listed(f.Opens, "\n") })
	put("credit_cost_per_call", f.Price != before.Price, func() any { return r.number("credit_cost_per_call", f.Price) })
	put("method_costs", f.Prices != before.Prices, func() any { return r.prices(f.Prices) })
	put("inject", f.Headers+"\n\n"+f.Arguments+"\n\n"+f.Env != before.Headers+"\n\n"+before.Arguments+"\n\n"+before.Env, func() any {
		return injection{r.pairs("inject.headers", f.Headers, ":"), r.pairs("inject.arguments", f.Arguments, ":"), r.pairs("inject.env", f.Env, ":")}
	})
	put("oauth", f.consent() != before.consent(), func() any {
		if f.Grant == "" {
			return nil
		}
		return oauth{f.Grant, f.AuthorizeURL, f.TokenURL, f.Client, strings.Fields(f.Scopes), f.Resource}
	})
	put("limits", f.bounds() != before.bounds(), func() any {
		if f.bounds() == [4]string{} {
			return nil
		}
		return toolLimits{
			int(r.number("limits.per_minute", f.PerMinute)), int(r.number("limits.per_user", f.PerUser)),
			int(r.number("limits.concurrency", f.AtOnce)), int(r.number("limits.timeout_ms", f.Timeout)),
		}
	})
	put("command", f.program() != before.program(), func() any {
		if f.Program == "" {
			return nil
		}
		return command{f.Program, listed(f.Args, "\n"), listed(f.Variables, "\n"), f.Dir}
	})
	return body, r.faults
}

func (f toolForm) consent() [6]string {
	return [6]string{f.Grant, f.Client, strings.Join(strings.Fields(f.Scopes), " "), f.AuthorizeURL, f.TokenURL, f.Resource}
}

func (f toolForm) bounds() [4]string { return [4]string{f.PerMinute, f.PerUser, f.AtOnce, f.Timeout} }

func (f toolForm) program() [4]string { return [4]string{f.Program, f.Args, f.Variables, f.Dir} }

// Guarded reports whether the form says how calls prove who makes them.
func (f toolForm) Guarded() bool {
	return f.Headers+f.Arguments+f.Env+f.Grant != ""
}

// formFaults are what is wrong with a form, by path.
type formFaults map[string]string

// At is what is wrong with a field and with what is in it.
func (all formFaults) At(name string) string {
	var said []string
	for _, path := range slices.Sorted(maps.Keys(all)) {
		below, ok := strings.CutPrefix(path, "body."+name)
		if !ok || below != "" && below[0] != '.' && below[0] != '[' {
			continue
		}
		said = append(said, strings.TrimSpace(strings.TrimPrefix(below, ".")+" "+all[path]))
	}
	return strings.Join(said, "; ")
}

// Within reports whether anything is wrong below one of the names.
func (all formFaults) Within(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return all.At(name) != "" })
}

// Rest are those of no field of a tool's form.
func (all formFaults) Rest() map[string]string {
	var f toolForm
	rest := maps.Clone(all)
	for name := range f.places() {
		maps.DeleteFunc(rest, func(path, message string) bool { return formFaults{path: message}.At(name) != "" })
	}
	return rest
}
