package proxy

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services/registry"
	"uaol/services/registry/credentials"
)

// TestLiteralFaults: what is wrong whatever comes is told, what may be right is not.
func TestLiteralFaults(t *testing.T) {
	t.Parallel()
	c := NewChecker()
	t.Cleanup(c.Close)
	const schema = `{"type":"object","required":["to","n"],"additionalProperties":false,"properties":{
		"to":{"type":"string","pattern":"^a"},"n":{"type":"integer","minimum":3},"secret":{"type":"string"},
		"list":{"type":"array","items":{"type":"integer"},"maxItems":2,"uniqueItems":true},
		"either":{"anyOf":[{"type":"object","required":["x"],"properties":{"x":{"const":1}}},{"type":"string"}]},
		"deep":{"type":"object","properties":{"in":{"type":"string"}},"required":["in","out"]}}}`
	for name, test := range map[string]struct {
		schema, arguments string
		unknown           [][]string
		paths             []string
	}{
		"fine":                     {schema, `{"to":"a","n":3}`, nil, nil},
		"missing":                  {schema, `{"to":"a"}`, nil, []string{"at.n"}},
		"wrong":                    {schema, `{"to":"b","n":2.5}`, nil, []string{"at.n", "at.to"}},
		"unknown":                  {schema, `{"to":null,"n":null}`, [][]string{{"to"}, {"n"}}, nil},
		"unknown, and wrong":       {schema, `{"to":null,"n":2}`, [][]string{{"to"}}, []string{"at.n"}},
		"unknown, one missing":     {schema, `{"to":null}`, [][]string{{"to"}}, []string{"at.n"}},
		"unknown, one too many":    {schema, `{"to":null,"n":3,"x":1}`, [][]string{{"to"}}, []string{"at.x"}},
		"unknown within":           {schema, `{"to":"a","n":3,"deep":{"in":null}}`, [][]string{{"deep", "in"}}, []string{"at.deep.out"}},
		"unknown items":            {schema, `{"to":"a","n":3,"list":[null,null]}`, [][]string{{"list", "0"}, {"list", "1"}}, nil},
		"too many unknown items":   {schema, `{"to":"a","n":3,"list":[null,null,null]}`, [][]string{{"list", "0"}, {"list", "1"}, {"list", "2"}}, []string{"at.list"}},
		"decided by the unknown":   {schema, `{"to":"a","n":3,"either":{"x":null}}`, [][]string{{"either", "x"}}, nil},
		"decided without":          {schema, `{"to":"a","n":3,"either":{"x":2}}`, nil, []string{"at.either.x", "at.either"}},
		"conditional":              {`{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]}}`, `{"a":null}`, [][]string{{"a"}}, nil},
		"conditional, all is here": {`{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]}}`, `{"a":1}`, nil, []string{"at.b"}},
		"what settings add":        {`{"required":["secret"]}`, `{}`, nil, nil},
		"broken schema":            {`{"type":5}`, `{}`, nil, []string{"at"}},
		"no schema":                {``, `{"x":1}`, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offer := registry.Offer{ToolID: uuid.New(), Pinned: true}
			offer.Inject = credentials.Injection{Arguments: map[string]string{"secret": "{{s}}"}}
			method := registry.Method{Method: upstream.Method{Name: "do", InputSchema: json.RawMessage(test.schema)}}
			arguments, err := readArguments(json.RawMessage(test.arguments))
			require.NoError(t, err)
			var paths []string
			for _, f := range c.Faults(offer, method, arguments.value, test.unknown, "at") {
				paths = append(paths, f.Path)
			}
			require.ElementsMatch(t, test.paths, paths)
			offer.Pinned = false
			require.Empty(t, c.Faults(offer, method, arguments.value, test.unknown, "at"))
		})
	}
}
