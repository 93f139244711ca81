// Package lines shows how one text became another, line by line, and what in them readers
// would not see.
package lines

import (
	"fmt"
	"strings"
	"unicode"
)

// Sign says what became of a line.
type Sign string

// The signs.
const (
	Same    Sign = " "
	Removed Sign = "-"
	Added   Sign = "+"
	Skipped Sign = "…" // of several that stayed; the text counts them
)

// Line is a line of the old text, of the new one, or of both.
type Line struct {
	Sign Sign
	Text string
}

// What is compared of two texts.
const (
	context   = 3       // lines around a change that are shown
	mostCells = 4 << 20 // of the table by which lines are matched; beyond it all are changed
)

// Diff gives the lines that changed, with those around them; none for texts that are the
// same.
func Diff(before, after string) []Line {
	if before == after {
		return nil
	}
	old, now := split(before), split(after)
	var whole []Line
	head := 0
	for head < min(len(old), len(now)) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < min(len(old), len(now))-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	whole = append(whole, signed(Same, old[:head])...)
	whole = append(whole, middle(old[head:len(old)-tail], now[head:len(now)-tail])...)
	whole = append(whole, signed(Same, old[len(old)-tail:])...)
	return folded(whole)
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func signed(sign Sign, texts []string) []Line {
	all := make([]Line, len(texts))
	for i, text := range texts {
		all[i] = Line{sign, text}
	}
	return all
}

// middle matches lines by their longest common subsequence.
func middle(old, now []string) []Line {
	if len(old)*len(now) > mostCells {
		return append(signed(Removed, old), signed(Added, now)...)
	}
	width := len(now) + 1
	longest := make([]int32, (len(old)+1)*width) // from here to both ends
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i] == now[j] {
				longest[i*width+j] = longest[(i+1)*width+j+1] + 1
			} else {
				longest[i*width+j] = max(longest[(i+1)*width+j], longest[i*width+j+1])
			}
		}
	}
	var all []Line
	i, j := 0, 0
	for i < len(old) && j < len(now) {
		switch {
		case old[i] == now[j]:
			all = append(all, Line{Same, old[i]})
			i, j = i+1, j+1
		case longest[(i+1)*width+j] >= longest[i*width+j+1]:
			all = append(all, Line{Removed, old[i]})
			i++
		default:
			all = append(all, Line{Added, now[j]})
			j++
		}
	}
	return append(append(all, signed(Removed, old[i:])...), signed(Added, now[j:])...)
}

// folded leaves out what stayed far from any change.
func folded(whole []Line) (shown []Line) {
	near := make([]bool, len(whole))
	for i, line := range whole {
		if line.Sign == Same {
			continue
		}
		for k := max(0, i-context); k <= min(len(whole)-1, i+context); k++ {
			near[k] = true
		}
	}
	for i := 0; i < len(whole); {
		if near[i] {
			shown = append(shown, whole[i])
			i++
			continue
		}
		from := i
		for i < len(whole) && !near[i] {
			i++
		}
		if i-from == 1 {
			shown = append(shown, whole[from])
			continue
		}
		shown = append(shown, Line{Skipped, fmt.Sprintf("%d lines are the same", i-from)})
	}
	return shown
}

// Piece is a part of a text: as it is read, or a character that is not to be seen, by its
// number.
type Piece struct {
	Text   string
	Hidden bool
}

// Reveal takes a text apart at the characters that readers don't see, and models do.
func Reveal(text string) (pieces []Piece) {
	from := 0
	for at, r := range text {
		if !unseen(r) {
			continue
		}
		if at > from {
			pieces = append(pieces, Piece{Text: text[from:at]})
		}
		pieces = append(pieces, Piece{Text: fmt.Sprintf("U+%04X", r), Hidden: true})
		from = at + len(string(r))
		if r == unicode.ReplacementChar && !strings.HasPrefix(text[at:], string(r)) {
			from = at + 1 // a byte that is no UTF-8
		}
	}
	if from < len(text) {
		pieces = append(pieces, Piece{Text: text[from:]})
	}
	return pieces
}

// unseen reports a character that has no looks of its own: controls, marks of direction,
// fillers, tags and selectors of variants. An emoji's colours (U+FE0F) are no secret.
func unseen(r rune) bool {
	switch r {
	case '\n', '\t', '\r', 0xFE0F:
		return false
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x2028, 0x2029, unicode.ReplacementChar:
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || r >= 0xE0000 && r <= 0xE0FFF
}
