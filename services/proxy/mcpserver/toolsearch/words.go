package toolsearch

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"golang.org/x/text/unicode/norm"
)

// longestWord is in bytes: what is longer is a digest or a key, and no word.
const longestWord = 40

// eachWord visits the words of a text or a name, folded, in their order. A word that is
// written of several, such as getUsers, OneDrive or oauth2, has parts, which its visit is
// given for as long as it lasts; others have none. Numbers and single letters tell
// nothing. It ends when visit returns false, or the text is too long.
func eachWord(text string, visit func(word string, parts []string) bool) {
	text = text[:min(len(text), longestText)]
	var cuts [6]int
	var found [len(cuts) + 1]string
	folded := "" // of a text that is as long as it
	if ascii(text) {
		folded = strings.ToLower(text)
	}
	for i := 0; i < len(text); {
		begin, several := i, false
		for i < len(text) {
			if c := text[i]; c < utf8.RuneSelf {
				kind := kinds[c]
				if kind == 0 {
					break
				}
				several = several || kind != kinds['a'] && i > begin || kind == kinds['0']
				i++
				continue
			}
			r, size := utf8.DecodeRuneInString(text[i:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) {
				break
			}
			several = true
			i += size
		}
		run := text[begin:i]
		if i < len(text) {
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
		}
		if run == "" || len(run) > longestWord {
			continue
		}
		if folded == "" && dense(run) {
			for _, pair := range pairs(fold(run)) {
				if !visit(pair, nil) {
					return
				}
			}
			continue
		}
		part := func(from, to int) string {
			if folded != "" {
				return folded[begin+from : begin+to]
			}
			return fold(run[from:to])
		}
		parts := found[:0]
		if several {
			from := 0
			for _, to := range append(split(run, cuts[:0]), len(run)) {
				if word := part(from, to); tells(word) && to-from < len(run) {
					parts = append(parts, word)
				}
				from = to
			}
		}
		if word := part(0, len(run)); tells(word) && !visit(word, parts) {
			return
		}
	}
}

// kinds of ASCII's characters that stand in words.
var kinds = func() (all [utf8.RuneSelf]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case 'a' <= c && c <= 'z':
			all[c] = 1
		case 'A' <= c && c <= 'Z':
			all[c] = 2
		case '0' <= c && c <= '9':
			all[c] = 3
		}
	}
	return all
}()

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// tells reports whether a word can say what something is about.
func tells(word string) bool {
	for i := range len(word) {
		if c := word[i]; c >= utf8.RuneSelf || kinds[c] != kinds['0'] {
			return len(word) > 1
		}
	}
	return false
}

// split gives where in a word a capital or a digit begins something new: HTTPServer2 has
// three parts.
func split(run string, cuts []int) []int {
	last := rune(0)
	for i, r := range run {
		if i > 0 && len(cuts) < cap(cuts) && (unicode.IsDigit(r) != unicode.IsDigit(last) ||
			unicode.IsUpper(r) && (unicode.IsLower(last) || lowerAfter(run[i+utf8.RuneLen(r):]))) {
			cuts = append(cuts, i)
		}
		last = r
	}
	return cuts
}

func lowerAfter(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsLower(r)
}

// fold writes a word without case and accents.
func fold(word string) string {
	if ascii(word) {
		return strings.ToLower(word)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(word)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// dense reports a script without spaces between words, which is read in pairs of
// characters.
func dense(word string) bool {
	return strings.ContainsFunc(word, func(r rune) bool {
		return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
	})
}

func pairs(word string) (all []string) {
	runes := []rune(word)
	if len(runes) < 2 {
		return []string{word}
	}
	for i := range len(runes) - 1 {
		all = append(all, string(runes[i:i+2]))
	}
	return all
}

// stem brings a folded word back to what its forms have in common.
func stem(word string) string {
	if len(word) < 3 || strings.ContainsFunc(word, unicode.IsDigit) {
		return word
	}
	env := snowballstem.NewEnv(word)
	english.Stem(env)
	return env.Current()
}

// function words are in every text and every question.
var function = set(`a about above according after again all almost already also always am among an and another any anybody anything are around as at away back
	be been before being below between both but by can cannot come came comes could did do does done down during each either else even ever every everything
	few for from go goes going had has have having he her here him his how however i if in instead into is it its itself just kind later least let like lot
	made make makes many may maybe me mine more most much must my need needed needs neither never next no not nothing now of off often ok on once one only onto
	or other others our ours out over own perhaps please quite rather really same see she should since so some something somebody someone soon still such
	than thank thanks that the their them then there these they thing things this those through thus to together too toward under until up upon us use used
	using very via want wanted wants was way we well were what when where whether which while who whole whom whose why will with within without would yes yet
	you your yours tool returns return call calls`)

func set(text string) map[string]bool {
	all := map[string]bool{}
	for _, word := range strings.Fields(text) {
		all[word] = true
	}
	return all
}
