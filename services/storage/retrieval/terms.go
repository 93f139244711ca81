package retrieval

import (
	"slices"
	"strings"
	"unicode"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/spanish"
	"golang.org/x/text/unicode/norm"
)

// language is one whose words are brought back to their stems, so that they are found
// in all their forms; those of others are found as they are written.
type language struct {
	stem func(*snowballstem.Env) bool
	// function words: they tell which language a text is in, and nothing about what it
	// is about.
	function map[string]bool
}

var languages = []language{
	{english.Stem, words(`the and of to in is are was were be been for on with that this it as by at from or an a not you your we they he she his her its which
		who what when where how why do does did have has had will would can could may must should there than then if but about into our their all any each more my i`)},
	{german.Stem, words(`der die das und ist sind war ein eine einer eines einem einen den dem des zu mit von auf fur für nicht im am wie was wer wann wo warum welche
		welcher welches wird werden wurde kann muss darf soll bei nach aus an als auch es er sie ich wir ihr sich oder aber wenn dass man über uber um zum zur pro noch nur haben hat`)},
	{french.Stem, words(`le la les un une des du de et est sont etait était pour dans que qui quoi quand comment ou où sur avec par pas ne ce cette ces il elle on nous vous
		au aux en d l a à son sa ses leur plus se peut doit quel quelle quels quelles combien`)},
	{spanish.Stem, words(`el la los las un una unos unas de del y es son fue era para en que quien quienes cuando como cómo donde con por no se su sus al lo le o a más mas
		este esta estos estas hay cual cuál cuantos cuántos cuanto cuánto qué quién dónde debe puede`)},
	{italian.Stem, words(`il lo la i gli le un una uno di e è sono era per in che chi quando come dove con da non si su del della dei delle al alla più questo questa ogni`)},
	{portuguese.Stem, words(`o a os as um uma de do da dos das e é são era para em que quem quando como onde com por não se seu sua ao mais este esta cada pelo pela`)},
	{dutch.Stem, words(`de het een en is zijn was voor in van dat die dit wat wie wanneer waar hoe met op niet te er aan bij ook als maar om naar wordt kan moet mag`)},
}

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[fold(word)] = true
	}
	return set
}

// fold writes a word without case, accents and the forms that only look different.
func fold(word string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(word)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "ß", "ss")
}

// Terms are what a passage is found by: the stems of its words, in their order, without
// those that are in every text. Scripts that are written without spaces give pairs of
// characters.
func Terms(text string) []string {
	all := split(text)
	of := spokenIn(all)
	terms := make([]string, 0, len(all))
	for _, word := range all {
		if of == nil {
			terms = append(terms, word)
		} else if !of.function[word] {
			terms = append(terms, of.stemOf(word))
		}
	}
	return terms
}

// Asked are the terms that a question's words may have in any language: a few words say
// little about which one it is. Those of one word stand together.
func Asked(question string) [][]string {
	all := split(question)
	of := spokenIn(all)
	var asked [][]string
	for _, word := range all {
		if of != nil && of.function[word] {
			continue
		}
		forms := []string{word}
		for i := range languages {
			if stem := languages[i].stemOf(word); !slices.Contains(forms, stem) {
				forms = append(forms, stem)
			}
		}
		if !slices.ContainsFunc(asked, func(other []string) bool { return other[0] == word }) {
			asked = append(asked, forms)
		}
	}
	return asked
}

// split gives a text's words, folded.
func split(text string) (all []string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) }) {
		if len(word) > longestWord {
			continue
		}
		if folded := fold(word); dense(folded) {
			all = append(all, pairs(folded)...)
		} else if folded != "" {
			all = append(all, folded)
		}
	}
	return all
}

// longestWord is in bytes: what is longer is no word.
const longestWord = 64

// dense reports a script without spaces between words.
func dense(word string) bool {
	return strings.ContainsFunc(word, func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
	})
}

func pairs(word string) (all []string) {
	runes := []rune(word)
	if len(runes) == 1 {
		return []string{word}
	}
	for i := range len(runes) - 1 {
		all = append(all, string(runes[i:i+2]))
	}
	return all
}

// spokenIn is the language most of whose function words a text has; nil where there
// are none.
func spokenIn(words []string) *language {
	best, most := (*language)(nil), 0
	for i := range languages {
		n := 0
		for _, word := range words {
			if languages[i].function[word] {
				n++
			}
		}
		if n > most {
			best, most = &languages[i], n
		}
	}
	return best
}

func (l *language) stemOf(word string) string {
	if len(word) < 3 || strings.ContainsFunc(word, unicode.IsDigit) {
		return word
	}
	env := snowballstem.NewEnv(word)
	l.stem(env)
	return fold(env.Current())
}
