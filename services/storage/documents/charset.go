package documents

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Names of encodings as guessCharset gives them.
const (
	utf8Text    = "utf-8"
	utf16Little = "utf-16le"
	utf16Big    = "utf-16be"
	windows1252 = "windows-1252" // what Western programs write that know no Unicode
)

// guessCharset tells how a text is encoded by its beginning; "" is for what is no text.
func guessCharset(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return utf8Text
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return utf16Little
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return utf16Big
	}
	// Of UTF-16 without a mark, Western text has every second byte 0.
	var zeros [2]int
	controls := 0
	for i, c := range head {
		if c == 0 {
			zeros[i%2]++
		} else if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\v' && c != 0x1b || c == 0x7f {
			controls++
		}
	}
	half := len(head) / 2
	switch {
	case half >= 4 && zeros[0] == 0 && zeros[1] > half*7/10:
		return utf16Little
	case half >= 4 && zeros[1] == 0 && zeros[0] > half*7/10:
		return utf16Big
	case zeros[0]+zeros[1] > 0:
		return ""
	case validHead(head) && controls <= len(head)/50:
		return utf8Text
	case controls > 0:
		return ""
	}
	return windows1252
}

// validHead is utf8.Valid for a text that may be cut within its last character.
func validHead(head []byte) bool {
	for cut := range utf8.UTFMax {
		if cut > len(head) {
			return false
		}
		if utf8.Valid(head[:len(head)-cut]) {
			return cut == 0 || !utf8.FullRune(head[len(head)-cut:])
		}
	}
	return false
}

// decode gives a text in UTF-8 without a mark, and its encoding's name. The encoding
// of the beginning may not be that of all: what is not UTF-8 after all is Windows-1252.
func decode(content []byte, charset string) (text, name string, err error) {
	switch charset {
	case utf16Little, utf16Big:
		order := unicode.LittleEndian
		if charset == utf16Big {
			order = unicode.BigEndian
		}
		decoded, _, err := transform.Bytes(unicode.UTF16(order, unicode.UseBOM).NewDecoder(), content)
		return string(decoded), charset, err
	case utf8Text:
		content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
		if utf8.Valid(content) || validHead(content) {
			return string(content), utf8Text, nil
		}
	}
	decoded, err := charmap.Windows1252.NewDecoder().Bytes(content)
	return string(decoded), windows1252, err
}

// plain is the whole of a file that is text.
func (x *extraction) plain() (string, error) {
	content, err := x.content()
	if err != nil {
		return "", err
	}
	text, _, err := decode(content, guessCharset(content[:min(len(content), headSize)]))
	return text, err
}
