package credentials

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	values := map[string]string{"A": "1", "b_2": "two", "EVIL": "{{secret.A}}{{", "_": ""}
	for text, want := range map[string]string{
		"":                            "",
		"plain":                       "plain",
		"{{secret.A}}":                "1",
		"Bearer {{secret.A}}":         "Bearer 1",
		"{{secret.A}}{{secret.b_2}}!": "1two!",
		"{{secret._}}":                "",
		"{ } }} {x}":                  "{ } }} {x}",
		"{{secret.EVIL}}":             "{{secret.A}}{{", // what was inserted is not read again
		"{{secret.EVIL}}secret.A}}":   "{{secret.A}}{{secret.A}}",
	} {
		parsed, wrong := parse(text)
		require.Empty(t, wrong, text)
		require.Equal(t, want, parsed.fill(values), text)
	}
	for _, text := range []string{
		"{{", "{{secret.A", "{{secret.A}", "{{}}", "{{A}}", "{{ secret.A }}", "{{secret.}}", "{{secret.1A}}", "{{secret.A-B}}", "{{secret.A.B}}", "{{env.PATH}}",
		"{{Secret.A}}", "{{secret.ä}}", "{{{secret.A}}}", "{{secret." + strings.Repeat("A", 65) + "}}", "{{secret.{{secret.A}}}}", "{{secret.A\n}}",
		"{{secret.oauth_client_secret}}", strings.Repeat("x", maxTemplate+1),
	} {
		_, wrong := parse(text)
		require.NotEmpty(t, wrong, text)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"", "x{{secret.A}}y", "{{secret.A}}{{secret.B}}", "{{{secret.A}}", "{{secret.A}", "}}{{"} {
		f.Add(seed, "value", "{{secret.A}}")
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		parsed, wrong := parse(text)
		if wrong != "" {
			return
		}
		if len(parsed.texts) != len(parsed.names)+1 {
			t.Fatalf("%q: %d texts, %d names", text, len(parsed.texts), len(parsed.names))
		}
		itself := map[string]string{}
		want := text
		for _, name := range parsed.names {
			if !nameForm.MatchString(name) {
				t.Fatalf("%q takes the name %q", text, name)
			}
			itself[name] = opening + prefix + name + closing
		}
		if got := parsed.fill(itself); got != want {
			t.Fatalf("%q reads as %q", text, got)
		}
		filled := parsed.fill(map[string]string{"A": a, "B": b})
		size := len(strings.Join(parsed.texts, ""))
		for _, name := range parsed.names {
			size += map[string]int{"A": len(a), "B": len(b)}[name]
		}
		if len(filled) != size {
			t.Fatalf("%q has %d bytes, not %d", filled, len(filled), size)
		}
	})
}

func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	good := &OAuth{Grant: authorizationCode, ClientID: "me", AuthorizeURL: "https://as.example.com/a?x=1", TokenURL: "https://as.example.com/t", Scopes: []string{"read", "a:b/c"}}
	require.Empty(t, Check(Injection{}, nil))
	require.Empty(t, Check(Injection{
		Headers:   map[string]string{"X-Key": "{{secret.A}}", "Authorization": "Basic {{secret.A}}", "Cookie": "session={{secret.A}}", "X-Version": "1"},
		Arguments: map[string]string{"api key": "{{secret.A}}"},
		Env:       map[string]string{"API_KEY": "{{secret.A}}", "PATHS": "x"},
	}, nil))
	require.Empty(t, Check(Injection{Headers: map[string]string{"X-Key": "{{secret.A}}"}}, good))
	require.Empty(t, Check(Injection{}, &OAuth{Grant: clientCredentials, ClientID: "me"}))
	require.Empty(t, Check(Injection{}, &OAuth{Grant: authorizationCode}), "UAOL makes itself known")
	require.Equal(t, []string{"oauth.client_id"}, paths(Check(Injection{}, &OAuth{Grant: clientCredentials})))

	for path, inject := range map[string]Injection{
		"inject.headers.Host":              {Headers: map[string]string{"Host": "x"}},
		"inject.headers.host":              {Headers: map[string]string{"host": "x"}},
		"inject.headers.Content-Length":    {Headers: map[string]string{"Content-Length": "1"}},
		"inject.headers.Content-Type":      {Headers: map[string]string{"Content-Type": "x"}},
		"inject.headers.Accept":            {Headers: map[string]string{"Accept": "x"}},
		"inject.headers.Transfer-Encoding": {Headers: map[string]string{"Transfer-Encoding": "chunked"}},
		"inject.headers.connection":        {Headers: map[string]string{"connection": "close"}},
		"inject.headers.Mcp-Session-Id":    {Headers: map[string]string{"Mcp-Session-Id": "x"}},
		"inject.headers.mcp-x":             {Headers: map[string]string{"mcp-x": "x"}},
		"inject.headers.X-Uaol-Origin":     {Headers: map[string]string{"X-Uaol-Origin": "x"}},
		"inject.headers.a b":               {Headers: map[string]string{"a b": "x"}},
		"inject.headers.":                  {Headers: map[string]string{"": "x"}},
		"inject.headers.x-key":             {Headers: map[string]string{"x-key": "1", "X-Key": "2"}},
		"inject.headers.X-A":               {Headers: map[string]string{"X-A": "{{secret.}}"}},
		"inject.headers.X-B":               {Headers: map[string]string{"X-B": "a\r\nb"}},
		"inject.arguments.":                {Arguments: map[string]string{"": "x"}},
		"inject.arguments.a":               {Arguments: map[string]string{"a": "{{env.HOME}}"}},
		"inject.env.PATH":                  {Env: map[string]string{"PATH": "x"}},
		"inject.env.path":                  {Env: map[string]string{"path": "x"}},
		"inject.env.LD_PRELOAD":            {Env: map[string]string{"LD_PRELOAD": "x"}},
		"inject.env.DYLD_INSERT_LIBRARIES": {Env: map[string]string{"DYLD_INSERT_LIBRARIES": "x"}},
		"inject.env.NODE_OPTIONS":          {Env: map[string]string{"NODE_OPTIONS": "x"}},
		"inject.env.PYTHONPATH":            {Env: map[string]string{"PYTHONPATH": "x"}},
		"inject.env.BASH_ENV":              {Env: map[string]string{"BASH_ENV": "x"}},
		"inject.env.A=B":                   {Env: map[string]string{"A=B": "x"}},
	} {
		require.Equal(t, []string{path}, paths(Check(inject, nil)), path)
	}
	require.Equal(t, []string{"inject.headers.authorization"}, paths(Check(Injection{Headers: map[string]string{"authorization": "x"}}, good)))
	many := map[string]string{}
	for i := range maxTemplates + 1 {
		many[strings.Repeat("a", i+1)] = "x"
	}
	require.Equal(t, []string{"inject.arguments"}, paths(Check(Injection{Arguments: many}, nil)))

	for path, change := range map[string]func(*OAuth){
		"oauth.grant":         func(o *OAuth) { o.Grant = "implicit" },
		"oauth.client_id":     func(o *OAuth) { o.ClientID = "" },
		"oauth.authorize_url": func(o *OAuth) { o.AuthorizeURL = "javascript:alert(1)" },
		"oauth.token_url":     func(o *OAuth) { o.TokenURL = "" },
		"oauth.resource":      func(o *OAuth) { o.Resource = "https://u:p@example.com" },
		"oauth.scopes":        func(o *OAuth) { o.Scopes = []string{"a b"} },
	} {
		changed := *good
		change(&changed)
		require.Equal(t, []string{path}, paths(Check(Injection{}, &changed)), path)
	}
}

func paths(faults []services.Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Path)
	}
	return all
}
