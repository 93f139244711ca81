package documents

import (
	"fmt"
	"strings"
)

// numbering counts the numbers and letters before paragraphs, which only the program
// that shows a document makes: contracts are quoted by them.
type numbering struct {
	lists map[string]*numberedList // by w:numId; several may share one
}

type numberedList struct {
	levels [9]listLevel
	counts [9]int
}

type listLevel struct {
	format, text string // as decimal and "%1.%2."
	start        int
}

func readNumbering(a *archive, part string) (*numbering, error) {
	var sheet struct {
		Abstract []struct {
			ID     string `xml:"abstractNumId,attr"`
			Levels []struct {
				Level int `xml:"ilvl,attr"`
				Start struct {
					Val int `xml:"val,attr"`
				} `xml:"start"`
				Format struct {
					Val string `xml:"val,attr"`
				} `xml:"numFmt"`
				Text struct {
					Val string `xml:"val,attr"`
				} `xml:"lvlText"`
			} `xml:"lvl"`
		} `xml:"abstractNum"`
		Numbers []struct {
			ID       string `xml:"numId,attr"`
			Abstract struct {
				Val string `xml:"val,attr"`
			} `xml:"abstractNumId"`
			Override []struct {
				Level int `xml:"ilvl,attr"`
				Start *struct {
					Val int `xml:"val,attr"`
				} `xml:"startOverride"`
			} `xml:"lvlOverride"`
		} `xml:"num"`
	}
	if err := a.unmarshal(part, &sheet); err != nil {
		return nil, err
	}
	abstract := map[string]*numberedList{}
	for _, list := range sheet.Abstract {
		l := &numberedList{}
		for _, level := range list.Levels {
			if level.Level >= 0 && level.Level < len(l.levels) {
				l.levels[level.Level] = listLevel{level.Format.Val, level.Text.Val, level.Start.Val}
			}
		}
		abstract[list.ID] = l
	}
	n := &numbering{lists: map[string]*numberedList{}}
	for _, number := range sheet.Numbers {
		list := abstract[number.Abstract.Val]
		if list == nil {
			continue
		}
		for _, o := range number.Override {
			if o.Start != nil && o.Level >= 0 && o.Level < len(list.levels) { // it begins anew
				own := &numberedList{levels: list.levels}
				own.levels[o.Level].start = o.Start.Val
				list = own
			}
		}
		n.lists[number.ID] = list
	}
	return n, nil
}

// mark counts one paragraph of a list and gives what stands before it.
func (n *numbering) mark(id, level string) string {
	list := n.lists[id]
	at := 0
	if level != "" {
		at = outline(level) - 1
	}
	if list == nil || at < 0 {
		return ""
	}
	l := list.levels[at]
	switch l.format {
	case "bullet":
		return strings.Repeat("  ", at) + "-"
	case "none", "":
		return ""
	}
	list.counts[at]++
	clear(list.counts[at+1:])
	text := l.text
	for i := range at + 1 {
		count := list.counts[i]
		if i == at || count == 0 {
			count = max(count, 1)
		}
		text = strings.ReplaceAll(text, fmt.Sprintf("%%%d", i+1), counted(list.levels[i].start+count-1, list.levels[i].format))
	}
	return text
}

// counted writes a number as lists do.
func counted(n int, format string) string {
	switch format {
	case "lowerLetter", "upperLetter":
		if n < 1 || n > 26*20 {
			break
		}
		text := strings.Repeat(string(rune('a'+(n-1)%26)), (n-1)/26+1)
		if format == "upperLetter" {
			text = strings.ToUpper(text)
		}
		return text
	case "lowerRoman", "upperRoman":
		if n < 1 || n > 3999 {
			break
		}
		text := ""
		for _, r := range []struct {
			value int
			sign  string
		}{{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"}, {40, "xl"}, {10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"}} {
			for ; n >= r.value; n -= r.value {
				text += r.sign
			}
		}
		if format == "upperRoman" {
			text = strings.ToUpper(text)
		}
		return text
	case "decimalZero":
		return fmt.Sprintf("%02d", n)
	}
	return fmt.Sprint(n)
}
