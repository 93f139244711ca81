package documents

import (
	"strings"
)

// style is what a paragraph has by its style.
type style struct {
	outline     int
	list, level string
}

// outline is a heading's level by w:outlineLvl, which counts from 0 and has 9 for text.
func outline(value string) int {
	if len(value) != 1 || value[0] < '0' || value[0] > '8' {
		return 0
	}
	return int(value[0]-'0') + 1
}

// readStyles finds the styles of headings and lists. Their names are Word's own in
// every language; their ids are not.
func readStyles(a *archive, part string) (map[string]style, error) {
	var sheet struct {
		Styles []struct {
			ID   string `xml:"styleId,attr"`
			Name struct {
				Val string `xml:"val,attr"`
			} `xml:"name"`
			Based struct {
				Val string `xml:"val,attr"`
			} `xml:"basedOn"`
			Outline struct {
				Val string `xml:"val,attr"`
			} `xml:"pPr>outlineLvl"`
			List struct {
				Val string `xml:"val,attr"`
			} `xml:"pPr>numPr>numId"`
			Level struct {
				Val string `xml:"val,attr"`
			} `xml:"pPr>numPr>ilvl"`
		} `xml:"style"`
	}
	if err := a.unmarshal(part, &sheet); err != nil {
		return nil, err
	}
	all, base := map[string]style{}, map[string]string{}
	for _, s := range sheet.Styles {
		one := style{outline(s.Outline.Val), s.List.Val, s.Level.Val}
		name := strings.ToLower(s.Name.Val)
		if rank, ok := strings.CutPrefix(name, "heading "); ok && len(rank) == 1 && rank[0] >= '1' && rank[0] <= '9' {
			one.outline = int(rank[0] - '0')
		}
		if name == "title" {
			one.outline = 1
		}
		all[s.ID], base[s.ID] = one, s.Based.Val
	}
	inherit(all, base)
	return all, nil
}

// inherit gives styles what those have that they are based on.
func inherit(all map[string]style, base map[string]string) {
	for id, one := range all {
		for from, steps := base[id], 0; from != "" && steps < 20; from, steps = base[from], steps+1 {
			if one.outline == 0 {
				one.outline = all[from].outline
			}
			if one.list == "" {
				one.list, one.level = all[from].list, all[from].level
			}
		}
		all[id] = one
	}
}
