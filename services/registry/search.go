package registry

import (
	"slices"
	"strings"
	"unicode"
)

// What of a text is searched.
const (
	maxWord    = 64   // characters of a word
	maxIndexed = 2000 // words of a tool
	maxAsked   = 10   // words of a question
)

// wordsOf cuts a text into words of letters and digits, in lower case. The index
// and the questions are cut here, the same way, so that no locale or dictionary
// of the database has a say.
func wordsOf(text string, most int) []string {
	var words []string
	for word := range strings.FieldsFuncSeq(strings.ToLower(strings.ToValidUTF8(text, " ")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mark, r)
	}) {
		if runes := []rune(word); len(runes) > maxWord {
			word = string(runes[:maxWord])
		}
		if words = append(words, word); len(words) == most {
			break
		}
	}
	return words
}

// indexOf is what a tool is found by, as the text of a tsvector.
func indexOf(name, slug, description string, tags []string) string {
	lexemes := wordsOf(name+" "+slug+" "+strings.Join(tags, " ")+" "+description, maxIndexed)
	slices.Sort(lexemes)
	lexemes = slices.Compact(lexemes)
	for _, tag := range tags {
		lexemes = append(lexemes, "#"+tag)
	}
	if len(lexemes) == 0 {
		return ""
	}
	return "'" + strings.Join(lexemes, "' '") + "'"
}

// questionOf is the text of a tsquery: each word begins one of the tool's, each
// tag is one of its tags. "" asks for everything; ok is false for what can be in
// no tool.
func questionOf(q string, tags []string) (question string, ok bool) {
	words := wordsOf(q, maxAsked)
	if len(words) == 0 && strings.TrimSpace(q) != "" {
		return "", false
	}
	var terms []string
	for _, word := range words {
		terms = append(terms, "'"+word+"':*")
	}
	for _, list := range tags {
		for tag := range strings.SplitSeq(list, ",") {
			normal, err := tagsOf([]string{strings.TrimSpace(tag)})
			if err != nil {
				return "", false
			}
			terms = append(terms, "'#"+normal[0]+"'")
		}
	}
	return strings.Join(terms, " & "), true
}
