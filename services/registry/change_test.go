package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestWhatAToolMaySay(t *testing.T) {
	t.Parallel()
	b, owner, root := setup(t), user(), admin()
	with := func(members string) string {
		return `{"name":"x","gateway_url":"https://example.com/mcp",` + members + `}`
	}
	for name, test := range map[string]struct {
		caller services.Caller
		body   string
		status int
		path   string // of the fault; or what the message holds
	}{
		"tags":                   {owner, with(`"tags":["Web Search","web-search","a_b"]`), 201, ""},
		"a bad tag":              {owner, with(`"tags":["ok","c++"]`), 400, "body.tags[1]"},
		"an empty tag":           {owner, with(`"tags":[""]`), 400, "body.tags[0]"},
		"a long tag":             {owner, with(`"tags":["` + strings.Repeat("a", 41) + `"]`), 400, "body.tags[0]"},
		"21 tags":                {owner, with(`"tags":["` + strings.Join(numbered(21), `","`) + `"]`), 400, "body.tags"},
		"20 tags":                {owner, with(`"tags":["` + strings.Join(numbered(20), `","`) + `"]`), 201, ""},
		"documentation":          {owner, with(`"documentation_url":"https://example.com/docs"`), 201, ""},
		"script documentation":   {owner, with(`"documentation_url":"javascript:alert(1)"`), 400, "body.documentation_url"},
		"a name of blanks":       {owner, `{"name":"  ","gateway_url":"https://example.com"}`, 400, "body.name"},
		"visibility":             {owner, with(`"visibility":"everybody"`), 400, "body.visibility"},
		"method price":           {owner, with(`"method_costs":{"a":0,"b":1000000000}`), 201, ""},
		"negative method price":  {owner, with(`"method_costs":{"a":-1}`), 400, "body.method_costs.a"},
		"half a method price":    {owner, with(`"method_costs":{"a":0.5}`), 400, "body.method_costs.a"},
		"huge method price":      {owner, with(`"method_costs":{"a":1000000001}`), 400, "body.method_costs.a"},
		"immense method price":   {owner, with(`"method_costs":{"a":1e30}`), 400, "body.method_costs.a"},
		"text method price":      {owner, with(`"method_costs":{"a":"1"}`), 400, "body.method_costs.a"},
		"nameless method price":  {owner, with(`"method_costs":{"":1}`), 400, "body.method_costs"},
		"long-named price":       {owner, with(`"method_costs":{"` + strings.Repeat("m", 129) + `":1}`), 400, "body.method_costs"},
		"hidden name":            {owner, with(`"method_costs":{"a\u202eb":1}`), 400, "body.method_costs"},
		"text price":             {owner, with(`"credit_cost_per_call":"1"`), 400, "body.credit_cost_per_call"},
		"immense price":          {owner, with(`"credit_cost_per_call":1e30`), 400, "body.credit_cost_per_call"},
		"limits":                 {owner, with(`"limits":{"per_minute":10,"timeout_ms":1000}`), 201, ""},
		"negative limit":         {owner, with(`"limits":{"per_user":-1}`), 400, "body.limits.per_user"},
		"endless time":           {owner, with(`"limits":{"timeout_ms":600001}`), 400, "body.limits.timeout_ms"},
		"owner's egress":         {owner, with(`"egress":["localhost:3001"]`), 403, "uaol connect"},
		"owner's command":        {owner, `{"name":"x","command":{"path":"npx"}}`, 403, "uaol connect -- command"},
		"owner's stdio":          {owner, `{"name":"x","protocol":"stdio"}`, 403, "uaol connect -- command"},
		"admin's command":        {root, `{"name":"x","command":{"path":"npx","args":["-y","a"]}}`, 201, ""},
		"stdio without command":  {root, `{"name":"x","protocol":"stdio"}`, 400, "body.command"},
		"command over HTTP":      {root, `{"name":"x","gateway_url":"https://example.com","protocol":"mcp","command":{"path":"npx"}}`, 400, "body.command"},
		"no program":             {root, `{"name":"x","command":{"path":""}}`, 400, "body.command.path"},
		"admin's egress":         {root, `{"name":"x","gateway_url":"http://localhost:3001/mcp","egress":["localhost:3001"]}`, 201, ""},
		"another port":           {root, `{"name":"x","gateway_url":"http://localhost:3002/mcp","egress":["localhost:3001"]}`, 400, "body.gateway_url"},
		"a network":              {root, `{"name":"x","gateway_url":"http://127.0.0.1:1","egress":["127.0.0.0/8"]}`, 400, "body.egress[0]"},
		"a network with a port":  {root, `{"name":"x","gateway_url":"http://127.0.0.1:1","egress":["127.0.0.0/8:1"]}`, 400, "body.egress[0]"},
		"a pattern":              {root, `{"name":"x","gateway_url":"http://127.0.0.1:1","egress":["*:1"]}`, 400, "body.egress[0]"},
		"a host without a port":  {root, `{"name":"x","gateway_url":"http://127.0.0.1:1","egress":["127.0.0.1"]}`, 400, "body.egress[0]"},
		"token URL inside":       {owner, with(`"oauth":{"grant":"client_credentials","token_url":"http://169.254.169.254/token","client_id":"x"}`), 400, "body.oauth.token_url"},
		"authorize URL inside":   {owner, with(`"oauth":{"grant":"authorization_code","authorize_url":"http://localhost/a","token_url":"https://example.com/t","client_id":"x"}`), 400, "body.oauth.authorize_url"},
		"a forbidden header":     {owner, with(`"inject":{"headers":{"Host":"{{secret.key}}"}}`), 400, "body.inject.headers.Host"},
		"a private address":      {owner, `{"name":"x","gateway_url":"http://192.168.1.7:8080/mcp"}`, 400, "uaol connect http://192.168.1.7:8080/mcp"},
		"admin, private address": {root, `{"name":"x","gateway_url":"http://192.168.1.7:8080/mcp"}`, 400, "uaol connect http://192.168.1.7:8080/mcp"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, test.caller, "POST", "/tools", test.body, nil)
			require.Equal(t, test.status, got.Status, got.Text)
			if test.status == http.StatusCreated {
				return
			}
			if strings.HasPrefix(test.path, "body.") {
				require.Contains(t, string(got.Error.Details), `"path":"`+test.path, got.Text)
			} else {
				require.Contains(t, got.Error.Message, test.path)
				if test.status == http.StatusBadRequest {
					require.True(t, strings.HasSuffix(got.Error.Message, test.path), "the command ends the message, to be copied")
				}
			}
		})
	}
	b.consistent(t)
}

// TestPricesAreCheckedWhoeverSetsThem: not all definitions come over HTTP.
func TestPricesAreCheckedWhoeverSetsThem(t *testing.T) {
	t.Parallel()
	b, name, url := setup(t), "x", toolURL
	for _, price := range []int64{-1, MaxPrice + 1} {
		_, err := b.service.Register(t.Context(), user(), Change{Name: &name, GatewayURL: &url, Price: &price})
		require.True(t, services.Is(err, services.Invalid), err)
		_, err = b.service.Register(t.Context(), user(), Change{Name: &name, GatewayURL: &url, Prices: &map[string]int64{"a": price}})
		require.True(t, services.Is(err, services.Invalid), err)
	}
}

func numbered(n int) (tags []string) {
	for i := range n {
		tags = append(tags, fmt.Sprint("tag", i))
	}
	return tags
}

// TestWhatIsSaidIsShown: and by null or emptiness taken back.
func TestWhatIsSaidIsShown(t *testing.T) {
	t.Parallel()
	b, root := setup(t), admin()
	var tool Tool
	got := b.do(t, root, "POST", "/tools", `{"name":"x","gateway_url":"http://localhost:3001/mcp","egress":["localhost:3001"],"description":"Long","tags":["B","a"],
		"documentation_url":"https://example.com","visibility":"organization","method_costs":{"a":3},"inject":{"headers":{"X-Key":"{{secret.key}}"}},
		"oauth":{"grant":"client_credentials","token_url":"https://example.com/t","client_id":"c"},"limits":{"per_minute":5},"credit_cost_per_call":2}`, &tool)
	require.Equal(t, 201, got.Status, got.Text)
	read := func() (shown Tool) {
		got := b.do(t, root, "GET", "/tools/"+tool.ID.String(), "", &shown)
		require.Equal(t, 200, got.Status, got.Text)
		return shown
	}
	shown := read()
	require.Equal(t, tool, shown, "the answer says what is read later")
	require.Equal(t, []string{"b", "a"}, shown.Tags)
	require.Equal(t, map[string]int64{"a": 3}, shown.Prices)
	require.Equal(t, []string{"localhost:3001"}, shown.Egress)
	require.Equal(t, Organization, shown.Visibility)
	require.Equal(t, "{{secret.key}}", shown.Inject.Headers["X-Key"])
	require.Equal(t, "c", shown.OAuth.ClientID)
	require.Equal(t, 5, shown.Limits.PerMinute)

	b.do(t, root, "PUT", "/tools/"+tool.ID.String(), `{"description":"Short"}`, nil)
	shown = read()
	require.Equal(t, "Short", shown.Description)
	require.NotNil(t, shown.OAuth, "what is not named stays")
	require.EqualValues(t, 1, shown.Version, "a description is no version")
	got = b.do(t, root, "PUT", "/tools/"+tool.ID.String(), `{"tags":[],"method_costs":{},"inject":{},"oauth":null,"limits":null}`, nil)
	require.Equal(t, 200, got.Status, got.Text)
	shown = read()
	require.Empty(t, shown.Tags)
	require.Empty(t, shown.Prices)
	require.Nil(t, shown.Inject)
	require.Nil(t, shown.OAuth)
	require.Nil(t, shown.Limits)
	require.EqualValues(t, 2, shown.Version)
	require.Equal(t, []string{"localhost:3001"}, shown.Egress)
}
