package proxy

import (
	"encoding/json"

	"uaol/providers/upstream"
)

// decode reads valid JSON without losing digits: objects, lists, texts,
// booleans, nil, and numbers as they are written.
func decode(raw []byte) any {
	switch raw[0] {
	case '{':
		object := map[string]any{}
		upstream.Members(raw, func(key, value []byte) { object[text(key)] = decode(value) })
		return object
	case '[':
		list := []any{}
		upstream.Elements(raw, func(value []byte) { list = append(list, decode(value)) })
		return list
	case '"':
		return text(raw[1 : len(raw)-1])
	case 't', 'f':
		return raw[0] == 't'
	case 'n':
		return nil
	default:
		return json.Number(raw)
	}
}

// text reads what stands between a text's quotes.
func text(inner []byte) string {
	for _, c := range inner {
		if c == '\\' {
			var read string
			quoted := append(append(append(make([]byte, 0, len(inner)+2), '"'), inner...), '"')
			_ = json.Unmarshal(quoted, &read) // it is valid
			return read
		}
	}
	return string(inner)
}
