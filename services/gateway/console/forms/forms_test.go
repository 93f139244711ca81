package forms

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kinds is a schema with a field of every kind.
const kinds = `{
	"type": "object", "required": ["name", "loud", "mood", "address", "maybe"],
	"$defs": {"city": {"type": "string", "title": "City", "maxLength": 40}},
	"properties": {
		"name": {"type": "string", "description": "whom to greet"},
		"count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
		"rate": {"type": "number", "exclusiveMinimum": 0},
		"loud": {"type": "boolean"},
		"again": {"type": "boolean", "default": false},
		"mood": {"enum": ["glad", "sad", 7, null]},
		"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
		"marks": {"type": "array", "items": {"type": "integer"}},
		"days": {"type": "array", "uniqueItems": true, "items": {"enum": ["mo", "tu", "we"]}},
		"address": {"type": "object", "required": ["city"], "properties": {
			"city": {"$ref": "#/$defs/city"}, "a.b/c~d": {"type": "string"}, "12": {"type": "string"}}},
		"more": {"type": "object", "properties": {"on": {"type": "boolean"}, "deep": {"type": "object", "required": ["sure"], "properties": {"sure": {"type": "boolean"}}}}},
		"maybe": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
		"people": {"type": "array", "items": {"type": "object", "properties": {"age": {"type": "integer"}}}},
		"any": {}, "either": {"type": ["string", "number"]}, "map": {"type": "object", "additionalProperties": {"type": "string"}},
		"secret": {"type": "string", "writeOnly": true}, "level": {"oneOf": [{"const": 1, "title": "low"}, {"const": 2, "title": "high"}]}
	}}`

func find(t *testing.T, fields []Field, label string) Field {
	t.Helper()
	for _, row := range Rows(fields) {
		if row.Whole == label {
			return row.Field
		}
	}
	require.Failf(t, "no field", "%s", label)
	return Field{}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	fields := Of(json.RawMessage(kinds))
	for label, want := range map[string]struct {
		kind  Kind
		typed string
	}{
		"name": {Prose, "string"}, "count": {Number, "integer"}, "rate": {Number, "number"}, "loud": {Switch, "boolean"}, "again": {Choice, "boolean"},
		"mood": {Choice, "number or string"}, "tags": {Lines, "array of string"}, "marks": {Lines, "array of integer"}, "days": {Choices, "array of string"},
		"address": {Object, "object"}, "address.city": {Text, "string"}, "more.deep.sure": {Switch, "boolean"}, "maybe": {Text, "string or null"},
		"people": {JSON, "array of object"}, "people[].age": {Number, "integer"}, "any": {JSON, "any"}, "either": {JSON, "string or number"},
		"map": {JSON, "object"}, "secret": {Text, "string"}, "level": {Choice, "number"},
	} {
		f := find(t, fields, label)
		require.Equal(t, want.kind, f.Kind, label)
		require.Equal(t, want.typed, f.Type, label)
	}
	require.Equal(t, []string{"at least 1", "at most 9"}, find(t, fields, "count").Limits)
	require.Equal(t, "City", find(t, fields, "address.city").Title)
	require.Equal(t, "date", find(t, fields, "maybe").Input)
	require.Equal(t, "password", find(t, fields, "secret").Input)
	require.Equal(t, "high", find(t, fields, "level").Options[1].Label)
	require.Equal(t, "arg/address/a.b~1c~0d", find(t, fields, "address.a.b/c~d").Name)
	require.Equal(t, "body.params.address[12]", find(t, fields, "address.12").Path, "as the proxy writes it")
	require.True(t, find(t, fields, "name").Required)
	var order []string
	for _, f := range fields {
		order = append(order, f.Label)
	}
	require.Equal(t, []string{"name", "loud", "mood", "address", "maybe", "count", "rate", "again"}, order[:8], "what is needed first, then in the schema's order")
}

// TestWhatIsNoForm is left to JSON.
func TestWhatIsNoForm(t *testing.T) {
	t.Parallel()
	many := make([]string, mostFields+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d": {"type": "string"}`, i)
	}
	for name, schema := range map[string]string{
		"nothing": ``, "null": `null`, "true": `true`, "a list": `[]`, "no properties": `{"type":"object"}`, "not JSON": `{`,
		"one of two": `{"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, "itself": `{"$ref":"#"}`, "too many": `{"properties":{` + strings.Join(many, ",") + `}}`,
	} {
		require.Empty(t, Of(json.RawMessage(schema)), name)
	}
	endless := Of(json.RawMessage(`{"properties":{"child":{"$ref":"#"},"next":{"$ref":"https://elsewhere.example/x"},"odd":{"type":5,"title":[],"enum":{}}}}`))
	require.Equal(t, JSON, find(t, endless, "child.child.child.child.child").Kind, "it ends")
	require.Equal(t, JSON, find(t, endless, "next").Kind)
	require.Equal(t, JSON, find(t, endless, "odd").Kind)
}

func TestArguments(t *testing.T) {
	t.Parallel()
	fields := Of(json.RawMessage(kinds))
	for name, test := range map[string]struct {
		values Values
		want   string
		faults map[string]string
	}{
		"nothing": {want: `{"loud":false,"address":{},"maybe":null}`},
		"all": {values: Values{
			"arg/name": {"<Ada>\r\nL"}, "arg/count": {" 3 "}, "arg/rate": {"12345678901234567890.10"}, "arg/loud": {"true"}, "arg/again": {"false"}, "arg/mood": {`"sad"`},
			"arg/tags": {"a\r\n\r\n b\n"}, "arg/marks": {"1\n-2"}, "arg/days": {`"we"`, `"mo"`}, "arg/address/city": {"Paris"}, "arg/address/a.b~1c~0d": {"x"}, "arg/maybe": {"2026-01-31"},
			"arg/more/deep/sure": {"true"}, "arg/people": {`[ {"age": 1} ]`}, "arg/either": {`"1"`}, "arg/level": {"2"},
		}, want: `{"name":"<Ada>\nL","loud":true,"mood":"sad","address":{"city":"Paris","a.b/c~d":"x"},"maybe":"2026-01-31","count":3,"rate":12345678901234567890.10,` +
			`"again":false,"tags":["a"," b"],"marks":[1,-2],"days":["mo","we"],"more":{"deep":{"sure":true}},"people":[{"age":1}],"either":"1","level":2}`},
		"null that is chosen":    {values: Values{"arg/mood": {"null"}}, want: `{"loud":false,"mood":null,"address":{},"maybe":null}`},
		"an object with nothing": {values: Values{"arg/more/deep/sure": {""}}, want: `{"loud":false,"address":{},"maybe":null}`},
		"faults": {values: Values{"arg/count": {"three"}, "arg/rate": {"+1"}, "arg/mood": {"angry"}, "arg/marks": {"1\nx"}, "arg/days": {"su"}, "arg/any": {"{"}}, faults: map[string]string{
			"body.params.count": "must be a number, such as 12 or 0.5", "body.params.rate": "must be a number, such as 12 or 0.5", "body.params.mood": "must be one of those that can be chosen",
			"body.params.marks[1]": "x is no number", "body.params.days": "must be of those that can be chosen", "body.params.any": "must be JSON: unexpected end of JSON input"}},
	} {
		got, faults := Arguments(fields, test.values)
		if len(test.faults) > 0 {
			require.Equal(t, test.faults, faults, name)
			continue
		}
		require.Empty(t, faults, name)
		require.Equal(t, test.want, string(got), name)
		values, whole := Fill(fields, got)
		require.True(t, whole, name)
		back, _ := Arguments(fields, values)
		require.Equal(t, test.want, string(back), name)
	}
}

// TestAFormHoldsWhatItGivesBack, and says of other arguments that it does not.
func TestAFormHoldsWhatItGivesBack(t *testing.T) {
	t.Parallel()
	fields := Of(json.RawMessage(`{"properties":{"a":{"type":"string"},"n":{"type":"integer"},"l":{"type":"array","items":{"type":"string"}}}}`))
	for arguments, whole := range map[string]bool{
		`{}`: true, `{"a":"x","n":1,"l":["y"]}`: true, `{"n":1.0}`: true,
		`{"a":""}`: false, `{"b":1}`: false, `{"a":1}`: false, `{"l":["x\ny"]}`: false, `{"l":[]}`: false, `{"n":"1"}`: false, `[]`: false, `{"a":null}`: false,
	} {
		_, got := Fill(fields, json.RawMessage(arguments))
		require.Equal(t, whole, got, arguments)
	}
}

func TestDefaultsAndSamples(t *testing.T) {
	t.Parallel()
	fields := Of(json.RawMessage(kinds))
	require.Equal(t, Values{"arg/count": {"3"}, "arg/again": {"false"}}, Defaults(fields))
	require.Equal(t, `{"name":"text","loud":true,"mood":"glad","address":{"city":"text"},"maybe":"2026-01-31","count":3,"again":false}`, string(Sample(fields)))
	shown := Without(fields, map[string]string{"name": "{{secret.NAME}}"})
	require.Len(t, shown, len(fields)-1)
}

// TestFaultsStandAtTheirFields: at the innermost that they are about; others are given back.
func TestFaultsStandAtTheirFields(t *testing.T) {
	t.Parallel()
	fields := Of(json.RawMessage(kinds))
	shown, rest := Show(fields, Values{"arg/name": {"x"}, "arg/days": {`"tu"`}}, map[string]string{
		"body.params.address.city": "is required", "body.params.address.street": "is not a parameter of this method", "body.params.tags[1]": "must be short",
		"body.params.names": "is not a parameter of this method", "body.params": "is too much",
	})
	require.Equal(t, map[string]string{"body.params.names": "is not a parameter of this method", "body.params": "is too much"}, rest)
	require.Equal(t, "is required", find(t, shown, "address.city").Fault)
	require.Equal(t, "street is not a parameter of this method", find(t, shown, "address").Fault)
	require.Equal(t, "[1] must be short", find(t, shown, "tags").Fault)
	require.Equal(t, "x", find(t, shown, "name").Value)
	require.Equal(t, []bool{false, true, false}, []bool{find(t, shown, "days").Options[0].Chosen, find(t, shown, "days").Options[1].Chosen, find(t, shown, "days").Options[2].Chosen})
	require.Empty(t, find(t, fields, "name").Value, "the fields themselves stay empty")
	require.False(t, find(t, fields, "days").Options[1].Chosen)
}

// FuzzForms: whatever a schema is and whatever was filled in, there is a form of limited
// size or none, its controls have names of their own, and what it makes is JSON that the
// form holds.
func FuzzForms(f *testing.F) {
	f.Add(kinds, "Ada\n1", `{"name":"x"}`)
	f.Add(`{"properties":{"a":{"$ref":"#/properties/b"},"b":{"$ref":"#/properties/a"}}}`, "{}", `{"a":[1]}`)
	f.Add(`{"properties":{"a":{"items":{"enum":[1,1,"x"]},"uniqueItems":true},"a/b":{},"a~1b":{}}}`, "1", `{"a":[1,1]}`)
	f.Add(`{"allOf":[{"properties":{"x":{"type":["null","integer"]}},"required":["x"]}]}`, "", `{"x":null}`)
	f.Fuzz(func(t *testing.T, schema, value, arguments string) {
		fields := Of(json.RawMessage(schema))
		rows := Rows(fields)
		if len(rows) > mostFields {
			t.Fatalf("%d fields", len(rows))
		}
		values, controls := Values{}, []string{}
		for _, row := range rows {
			if row.Kind == Object || strings.Contains(row.Name, "/-/") {
				continue
			}
			controls = append(controls, row.Name)
			values[row.Name] = []string{value}
			if len(row.Options) > 0 && len(value)%2 == 0 {
				values[row.Name] = []string{row.Options[len(value)%len(row.Options)].Value}
			}
		}
		slices.Sort(controls)
		if len(slices.Compact(controls)) != len(values) {
			t.Fatalf("two controls have one name: %q", controls)
		}
		for _, given := range []Values{values, Defaults(fields), {}} {
			made, faults := Arguments(fields, given)
			if _, ok := objectOf(made); !ok {
				t.Fatalf("no object: %s", made)
			}
			if shown, rest := Show(fields, given, faults); len(rest) > 0 || len(shown) != len(fields) {
				t.Fatalf("faults of no field: %v", rest)
			}
		}
		if filled, whole := Fill(fields, json.RawMessage(arguments)); whole {
			made, faults := Arguments(fields, filled)
			if len(faults) > 0 || !same(made, json.RawMessage(arguments)) {
				t.Fatalf("%s became %s, %v", arguments, made, faults)
			}
		}
		if _, ok := objectOf(Sample(fields)); !ok {
			t.Fatal("the sample is no object")
		}
	})
}
