package console

import (
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// stretch is a piece of a text, marked where a word stands that somebody looked for.
type stretch struct {
	Text   string
	Marked bool
}

// found is a passage that answers a question.
type found struct {
	passage
	Stretches []stretch
}

type searchData struct {
	Query string
	File  string // that is looked in alone
	Name  string // of it
	Found []found
}

const mostFound = 20

// searchFiles looks for an answer in what the organisation's files say.
func searchFiles(v *visit) (view, error) {
	data := searchData{Query: strings.TrimSpace(v.asked("q")), File: v.asked("file")}
	shown := view{Template: "files-search", Title: "Search in files", Section: "files"}
	if data.Query != "" {
		body := map[string]any{"query": data.Query, "limit": mostFound}
		if data.File != "" {
			body["fileIds"] = []string{data.File}
		}
		var passages []passage
		if err := v.send(http.MethodPost, "/documents/search", body, &passages); err != nil {
			return view{}, err
		}
		for _, p := range passages {
			data.Found = append(data.Found, found{p, marked(p.Text, data.Query)})
		}
	}
	if data.File != "" {
		var file storedFile
		if err := v.get(path(nil, "storage", "files", data.File), &file); err != nil {
			return view{}, err
		}
		data.Name = file.Name
	}
	shown.Data = data
	return shown, nil
}

var words = regexp.MustCompile(`[\pL\pN]+`)

// marked divides a text where words stand that a query has, or that begin like one: the
// search knows more forms of words than are marked here.
func marked(text, query string) []stretch {
	var looked []string
	for _, word := range words.FindAllString(strings.ToLower(query), -1) {
		if utf8.RuneCountInString(word) > 2 {
			looked = append(looked, word)
		}
	}
	var all []stretch
	end := 0
	for _, at := range words.FindAllStringIndex(text, -1) {
		if !begins(strings.ToLower(text[at[0]:at[1]]), looked) {
			continue
		}
		if at[0] > end {
			all = append(all, stretch{text[end:at[0]], false})
		}
		all = append(all, stretch{text[at[0]:at[1]], true})
		end = at[1]
	}
	if end < len(text) {
		all = append(all, stretch{text[end:], false})
	}
	return all
}

// begins reports whether a word begins like one of those that were looked for.
func begins(word string, looked []string) bool {
	for _, l := range looked {
		if strings.HasPrefix(word, l) {
			return true
		}
	}
	return false
}
