package jobs

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PostgreSQL's jsonb does not take all JSON, and writes numbers out: 1e131071
// comes back as 131,072 digits. A few kilobytes of those can be stored but not
// read any more, and then no worker could claim anything.
const (
	maxDigits   = 400     // of one number when it is written out
	maxWritten  = 8 << 20 // bytes, of all numbers with an exponent
	maxMessage  = 2000    // runes
	hexDigits   = 4
	escapedUnit = 2 + hexDigits // \uXXXX
)

// unstorable tells what in a valid JSON text can't be stored; "" means nothing.
func unstorable(text []byte) string {
	if !utf8.Valid(text) {
		return "is not UTF-8"
	}
	written := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			n, reason := scanString(text[i:])
			if reason != "" {
				return reason
			}
			i += n
		case c == '-' || c >= '0' && c <= '9':
			number, rest := text[i:], bytes.IndexAny(text[i:], ",]} \t\r\n")
			if rest >= 0 {
				number = number[:rest]
			}
			digits := len(number)
			if e := bytes.IndexAny(number, "eE"); e >= 0 {
				exponent, err := strconv.Atoi(string(number[e+1:]))
				if err != nil || max(exponent, -exponent) > maxDigits {
					return "holds a number that is too large or too small"
				}
				digits += max(exponent, -exponent)
				written += digits
			}
			if digits > 2*maxDigits || written > maxWritten {
				return "holds numbers with too many digits"
			}
			i += len(number)
		default:
			i++
		}
	}
	return ""
}

// scanString gives the length of the JSON text that begins here.
func scanString(text []byte) (n int, reason string) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1, ""
		case '\\':
			unit, ok := escaped(text[i:])
			switch {
			case !ok: // one of the short escapes
				i++
				continue
			case unit == 0:
				return 0, `holds the character \u0000, which cannot be stored`
			case unit >= 0xd800 && unit < 0xdc00:
				if low, _ := escaped(text[i+escapedUnit:]); low >= 0xdc00 && low < 0xe000 {
					i += 2*escapedUnit - 1
					continue
				}
				fallthrough
			case unit >= 0xdc00 && unit < 0xe000:
				return 0, `holds half of a surrogate pair (\ud800 to \udfff), which cannot be stored`
			}
			i += escapedUnit - 1
		}
	}
	return len(text), ""
}

func escaped(text []byte) (unit uint64, ok bool) {
	if len(text) < escapedUnit || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:escapedUnit]), 16, 16)
	return unit, err == nil
}

// plain makes a message fit to be stored: others write into it.
func plain(message string) string {
	message = strings.ReplaceAll(strings.ToValidUTF8(message, "\ufffd"), "\x00", "\ufffd")
	if runes := []rune(message); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return message
}
