package documents

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// piece97 is a piece of a text, with characters of two bytes or one.
type piece97 struct {
	text string
	wide bool
}

// made97 is a file of Word with these pieces and lengths of stories, and tables by
// their numbers.
type made97 struct {
	pieces  []piece97
	stories [stories]uint32
	tables  map[int][]byte
	flags   uint16
	version uint16
	runs    []run97
}

// run97 is how the characters of a piece look.
type run97 struct {
	piece int
	looks []byte
}

const text97 = 1024 // where the text begins in the file

func (m made97) streams() (main, table []byte) {
	at := uint32(0)
	places, about := []uint32{0}, []byte(nil)
	var text []byte
	var stored []uint32
	for _, p := range m.pieces {
		units := utf16Of(p.text, false, false)
		from := uint32(text97 + len(text))
		stored = append(stored, from)
		if !p.wide {
			units, from = western(p.text), from*2|0x40000000
			at += uint32(len(units))
		} else {
			at += uint32(len(units) / 2)
		}
		text = append(text, units...)
		places = append(places, at)
		about = append(about, little(uint16(0), from, uint16(0))...)
	}
	if m.stories == [stories]uint32{} {
		m.stories[storyText] = at
	}
	tables := map[int][]byte{}
	for number, content := range m.tables {
		tables[number] = content
	}
	if _, own := tables[tablePieces]; !own {
		tables[tablePieces] = little(1, uint16(3), "abc", 2, uint32(len(places)*4+len(about)), places, about)
	}
	text = append(text, make([]byte, lookPage-len(text)%lookPage)...)
	if len(m.runs) > 0 {
		page, end := make([]byte, lookPage), uint32(text97+len(text))
		runs := append([]uint32{text97}, stored[1:]...)
		copy(page, little(runs, end))
		for i, r := range m.runs {
			looks := 300 + 40*i
			page[4*(len(runs)+1)+r.piece] = byte(looks / 2)
			copy(page[looks:], little(len(r.looks), r.looks))
		}
		page[lookPage-1] = byte(len(runs))
		tables[tableCharacters] = little(uint32(text97), end, end/lookPage)
		text = append(text, page...)
	}
	fib := make([]byte, text97)
	if m.version == 0 {
		m.version = 0x00c1
	}
	copy(fib, little(uint16(0xa5ec), m.version, make([]byte, 6), m.flags|0x0200))
	copy(fib[fibCounts:], little(m.stories[:]))
	copy(fib[fibTables-2:], little(uint16(93)))
	for number, content := range tables {
		copy(fib[fibTables+8*number:], little(uint32(len(table)), uint32(len(content))))
		table = append(table, content...)
	}
	return append(fib, text...), table
}

func (m made97) file() []byte {
	main, table := m.streams()
	return compoundOf(stored{name: "WordDocument", content: main}, stored{name: "1Table", content: table})
}

func TestDoc(t *testing.T) {
	t.Parallel()
	hidden, deleted := little(uint16(sprmHidden), 1), little(uint16(0x2a42), 7, uint16(sprmDeleted), 1)
	symbol := func(unit uint16) []byte { return little(uint16(sprmSymbol), uint16(0), unit) }
	notes := made97{
		pieces:  []piece97{{"a\x02 b\x02 c\x02\r", false}, {"\x02 One.\rMore.\r\x02 Two.\r", false}, {"\x02 End.\r", false}, {"\rIn a box\r\r", true}},
		stories: [stories]uint32{storyText: 9, storyFootnotes: 20, storyEndnotes: 7, storyBoxes: 11},
		tables: map[int][]byte{
			tableFootnoteRefs: little(uint32(1), uint32(7), uint32(9), uint16(1), uint16(1)),
			tableFootnotes:    little(uint32(0), uint32(13), uint32(20), uint32(20)),
			tableEndnoteRefs:  little(uint32(4), uint32(9), uint16(1)),
			tableEndnotes:     little(uint32(0), uint32(6), uint32(7)),
		},
	}
	for name, test := range map[string]struct {
		made  made97
		text  string
		warns string
	}{
		"pieces":                     {made97{pieces: []piece97{{"Größe – “10”\r", false}, {"東", true}, {"京 \U0001F600\r", true}, {"end\r", false}}}, "Größe – “10”\n東京 😀\nend", ""},
		"signs":                      {made97{pieces: []piece97{{"a\tb\x0bc\x1ed\x1fe\x01\x05\x08f\x0cnext page\x0c\x0c\r", false}}}, "a\tb\nc-def\nnext page", ""},
		"fields":                     {made97{pieces: []piece97{{"a \x13 HYPERLINK \x13 REF x \x14inner\x15 y\x14link\x15 b \x13 TC \x15c\x15\x14\r\x13 TOC\rgoes on \x14First\rSecond\x15\r", false}}}, "a link b c\nFirst\nSecond", ""},
		"a field without an end":     {made97{pieces: []piece97{{"a\r\x13 IF b\r", false}}}, "a", "a field has no end, and what follows it may be missing"},
		"a field in a cell":          {made97{pieces: []piece97{{"a\x13 IF\x07b\x07", false}}}, "a\tb", ""},
		"no mark at the end":         {made97{pieces: []piece97{{"a\rb", false}}}, "a\nb", ""},
		"hidden, deleted and signs":  {made97{pieces: []piece97{{"a", false}, {"(hidden)", false}, {"b", false}, {"gone\x13", false}, {"(", false}, {"(", false}, {" X \x14c\x15(\r", false}}, runs: []run97{{1, hidden}, {3, deleted}, {4, symbol(0x2265)}, {5, symbol(0xf0b7)}}}, "ab" + "c(", ""},
		"notes":                      {notes, "a[^1] b[^2] c[^3]\nIn a box\n[^1]: One.\nMore.\n[^3]: Two.\n[^2]: End.", ""},
		"tables that are elsewhere":  {made97{pieces: []piece97{{"a\r", false}}, tables: map[int][]byte{tableStyles: {9}, tableLists: {9}, tableCharacters: {1}, tableParagraphs: {2}, tableFootnoteRefs: {1}}}, "a", "which paragraphs are headings and which numbers they have can't be told"},
		"a story that is none":       {made97{pieces: []piece97{{"a\r", false}}, stories: [stories]uint32{storyText: 2, storyMacros: 0xffffffff}}, "a", ""},
		"looks that are none at all": {made97{pieces: []piece97{{"a\r", false}}, tables: map[int][]byte{tableCharacters: little(uint32(0), uint32(5000), uint32(0x3fffff)), tableParagraphs: little(uint32(0), uint32(5000), uint32(0))}}, "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := read(t, "", test.made.file())
			require.NoError(t, err)
			require.Equal(t, "doc", doc.Type)
			require.Equal(t, test.text, doc.Text())
			require.Equal(t, test.warns, strings.Join(doc.Warnings, "\n"))
		})
	}
}

func TestDocRefuses(t *testing.T) {
	t.Parallel()
	closed, err := os.ReadFile("testdata/encrypted.doc")
	require.NoError(t, err)
	one := []piece97{{"one\r", false}}
	word6 := slices.Clone(made97{pieces: one, version: 0x0065}.file())
	mainOnly, _ := made97{pieces: one}.streams()
	// Fifty thousand pieces of one place: what is stored once is much.
	var bomb []byte
	const pieces, length = 50000, 4000
	for i := range pieces + 1 {
		bomb = append(bomb, little(uint32(i*length))...)
	}
	for range pieces {
		bomb = append(bomb, little(uint16(0), uint32(text97*2|0x40000000), uint16(0))...)
	}
	bombed := func(text string) []byte {
		return made97{pieces: []piece97{{strings.Repeat(text, length), false}}, stories: [stories]uint32{pieces * length}, tables: map[int][]byte{tablePieces: little(2, uint32(len(bomb)), bomb)}}.file()
	}
	piece := func(places ...uint32) map[int][]byte {
		content := little(places, make([]byte, 8*(len(places)-1)))
		return map[int][]byte{tablePieces: little(2, uint32(len(content)), content)}
	}
	note := func(at, from, to uint32) made97 {
		return made97{pieces: []piece97{{"a\x02\rnote\r", false}}, stories: [stories]uint32{3, 5}, tables: map[int][]byte{
			tableFootnoteRefs: little(at, uint32(3), uint16(1)), tableFootnotes: little(from, to, to)}}
	}
	for name, test := range map[string]struct {
		content []byte
		kind    services.Kind
		code    string
		says    string
	}{
		"encrypted by LibreOffice":     {closed, services.Invalid, CodeEncrypted, "Word file"},
		"encrypted":                    {made97{pieces: one, flags: 0x0100}.file(), services.Invalid, CodeEncrypted, "Word file"},
		"Word 6":                       {word6, services.Unsupported, "", "Word 95 and older"},
		"no Word":                      {compoundOf(stored{name: "WordDocument"}), services.Invalid, CodeBroken, "Word file"},
		"no table":                     {compoundOf(stored{name: "WordDocument", content: mainOnly}), services.Invalid, CodeBroken, ""},
		"no pieces":                    {made97{pieces: one, tables: map[int][]byte{tablePieces: nil}}.file(), services.Invalid, CodeBroken, ""},
		"pieces of no kind":            {made97{pieces: one, tables: map[int][]byte{tablePieces: {3}}}.file(), services.Invalid, CodeBroken, ""},
		"pieces that go back":          {made97{pieces: one, tables: piece(0, 9, 2)}.file(), services.Invalid, CodeBroken, ""},
		"pieces of nothing":            {made97{pieces: one, tables: piece(0, 2, 2)}.file(), services.Invalid, CodeBroken, ""},
		"pieces beyond the file":       {made97{pieces: one, tables: piece(0, 5000)}.file(), services.Invalid, CodeBroken, ""},
		"pieces shorter than the text": {made97{pieces: one, stories: [stories]uint32{5}}.file(), services.Invalid, CodeBroken, ""},
		"text of 4 GB":                 {made97{pieces: one, stories: [stories]uint32{4, 0xffffffff}}.file(), services.Invalid, CodeBroken, ""},
		"pieces of one place":          {bombed("x"), services.Invalid, CodeTooLarge, "1 MB of text"},
		"cells of one place":           {bombed("\x07"), services.Invalid, CodeTooLarge, "1 MB of text"},
		"fields of one place":          {bombed("\x13"), services.Invalid, CodeTooLarge, "1 MB of text"},
		"a note beyond its story":      {note(1, 0, 6).file(), services.Invalid, CodeBroken, ""},
		"a note that goes back":        {note(1, 4, 2).file(), services.Invalid, CodeBroken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := extractionOf(t, "", test.content)
			x.limits.Text = 1 << 20
			begun := time.Now()
			_, err := x.run()
			requireFault(t, err, test.kind, test.code, test.says)
			require.Less(t, time.Since(begun), 20*time.Second)
		})
	}
	x := extractionOf(t, "", bombed("\x01")) // which is shown as nothing
	x.limits.Unpacked = 100 << 20
	_, err = x.run()
	requireFault(t, err, services.Invalid, CodeTooLarge, "100 MB of text")
}

// TestLooks reads properties of all sizes, cut off everywhere.
func TestLooks(t *testing.T) {
	t.Parallel()
	all := little(uint16(sprmCells), uint16(6), "cells", uint16(sprmTabs), 255, 2, make([]byte, 8), 1, "tab", uint16(sprmTabs), 1, 0,
		uint16(0xf614), "one", uint16(0x6412), uint32(1), uint16(sprmList), int16(-3), uint16(sprmLevel), 2, uint16(sprmOutline), 1, uint16(sprmTable), 1, uint16(sprmRowEnd), 1, uint16(sprmStyle), uint16(7))
	var look paragraphLook
	for cut := range all {
		look = paragraphLook{}
		eachSprm(all[:cut], look.see)
	}
	look = paragraphLook{}
	eachSprm(all, look.see)
	require.Equal(t, paragraphLook{style: 7, outline: 2, list: "3", level: "2", table: true, rowEnd: true}, look)
}

// TestDocSaysWhatDocxSays: LibreOffice has made the one of the other.
func TestDocSaysWhatDocxSays(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/files/letter.docx")
	require.NoError(t, err)
	want, err := read(t, "", content)
	require.NoError(t, err)
	content, err = os.ReadFile("testdata/files/letter.doc")
	require.NoError(t, err)
	doc, err := read(t, "", content)
	require.NoError(t, err)
	// A box stands behind the text, and not where the text has it.
	last, other := &want.Parts[len(want.Parts)-1], &doc.Parts[len(doc.Parts)-1]
	last.Text = strings.Replace(last.Text, "A remark in a box.\n", "", 1)
	other.Text = strings.Replace(other.Text, "A remark in a box.\n", "", 1)
	require.Equal(t, want.Parts, doc.Parts)
}

// FuzzDoc fuzzes the streams of a file of Word.
func FuzzDoc(f *testing.F) {
	for name, content := range olds(f) {
		if filepath.Ext(name) != ".doc" {
			continue
		}
		c, err := extractionOf(f, name, content).openCompound()
		require.NoError(f, err)
		var streams [3][]byte
		for i, name := range []string{"WordDocument", "1Table", "Data"} {
			streams[i], err = c.stream(name)
			require.NoError(f, err)
		}
		f.Add(streams[0], streams[1], streams[2])
	}
	main, table := made97{pieces: []piece97{{"a\x13b\x14c\x15\x07\r", false}, {"€\r", true}}}.streams()
	f.Add(main, table, []byte{})
	f.Fuzz(func(t *testing.T, main, table, data []byte) {
		if len(main)+len(table)+len(data) < 96<<10 {
			requireSound(t, extractionOf(t, "", compoundOf(stored{name: "WordDocument", content: main}, stored{name: "1Table", content: table}, stored{name: "0Table", content: table}, stored{name: "Data", content: data})))
		}
	})
}

// TestTablesOfDoc finds no other tables than the file has.
func TestTablesOfDoc(t *testing.T) {
	t.Parallel()
	main, table := made97{pieces: []piece97{{"a\r", false}}}.streams()
	d := &word97{main: main, table: table}
	pieces, err := d.listed(tablePieces)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(pieces, []byte{1, 3, 0}))
	binary.LittleEndian.PutUint16(main[fibTables-2:], tablePieces)
	pieces, err = d.listed(tablePieces)
	require.NoError(t, err)
	require.Empty(t, pieces)
}
