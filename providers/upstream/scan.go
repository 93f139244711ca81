package upstream

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Members walks over the members of a JSON object in their order without
// decoding any. data must be valid JSON; false says that it is no object. A key
// is given as it stands between its quotes, without escapes that it does not need:
// however it was written, it is compared as what its readers take it for.
func Members(data []byte, visit func(key, value []byte)) bool {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return false
	}
	i = skipSpace(data, i+1)
	for i < len(data) && data[i] != '}' {
		keyEnd := skipValue(data, i)
		key := spelled(data[i+1 : keyEnd-1])
		i = skipSpace(data, skipSpace(data, keyEnd)+1) // over the colon
		end := skipValue(data, i)
		visit(key, data[i:end])
		if i = skipSpace(data, end); i < len(data) && data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return true
}

// Elements walks over the elements of a JSON list, as Members does.
func Elements(data []byte, visit func(value []byte)) bool {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return false
	}
	i = skipSpace(data, i+1)
	for i < len(data) && data[i] != ']' {
		end := skipValue(data, i)
		visit(data[i:end])
		if i = skipSpace(data, end); i < len(data) && data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return true
}

// plainKey is a key without escapes, so that no two ways to write one differ.
func plainKey(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	var plain string
	if json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &plain) != nil {
		return key
	}
	return []byte(plain)
}

// spelled is a key as it is written without needless escapes.
func spelled(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	text := appendText(nil, string(plainKey(key)))
	return text[1 : len(text)-1]
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// skipValue gives where the value ends that begins at i.
func skipValue(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			i = skipText(data, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// skipText gives where the text ends whose opening quote is at i.
func skipText(data []byte, i int) int {
	for i++; i < len(data); i++ {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return len(data)
		}
		i += n
		escapes := 0
		for data[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return i
}

// appendText writes a text as JSON.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			encoded, err := encode(text)
			if err != nil {
				encoded = []byte(`""`) // a text can always be written
			}
			return append(to, encoded...)
		}
	}
	return append(append(append(to, '"'), text...), '"')
}
