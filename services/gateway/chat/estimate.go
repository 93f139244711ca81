package chat

import "unicode"

// tokens estimates how many tokens a text is, from above: no tokenizer is right for
// all models, and what is held and what is trimmed must suffice. It counts in quarters.
// A Latin word is a token, and one more for each three letters beyond five; where upper
// and lower case or digits take turns, as in base64, each two letters are. So are two
// digits. Letters of other scripts are about one each, and pictures three.
func tokens(text string) int {
	quarters, run, mixed := 0, 0, false // run is how many letters of a word there were
	var last class
	for _, r := range text {
		c := classOf(r)
		switch c {
		case space:
			if last == space || r != ' ' {
				quarters += 2
			}
		case lower, upper:
			turns := last == lower && c == upper || last == digit
			mixed = mixed || turns
			if run == 0 || turns || last == accented || run >= 5 && run%3 == 2 || (mixed || c == upper) && run%2 == 0 {
				quarters += 4
			}
		case digit:
			if last != digit || run%2 == 0 {
				quarters += 4
			}
			if mixed = mixed || last == lower || last == upper; last != digit {
				run = 0
			}
		case accented:
			quarters += 3
		case letter:
			quarters += 4
		case ideogram:
			quarters += 6
		case picture:
			quarters += 12
		case other:
			quarters += 4
		}
		if run++; c != lower && c != upper && c != digit && c != accented {
			run, mixed = 0, false
		}
		last = c
	}
	return (quarters + 3) / 4
}

type class int

const (
	other class = iota // signs, each a token
	space
	lower
	upper
	digit
	accented // Latin, Greek and Cyrillic letters
	letter   // Hebrew and Arabic ones
	ideogram // and all others
	picture
)

func classOf(r rune) class {
	switch {
	case r >= 'a' && r <= 'z':
		return lower
	case r >= 'A' && r <= 'Z':
		return upper
	case r >= '0' && r <= '9':
		return digit
	case r < 0x80 && unicode.IsSpace(r):
		return space
	case r < 0x80:
		return other
	case r < 0x0590 && unicode.IsLetter(r):
		return accented
	case r < 0x0700 && unicode.IsLetter(r):
		return letter
	case r >= 0x1F000:
		return picture
	default:
		return ideogram
	}
}
