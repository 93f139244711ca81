package documents

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"

	"uaol/services"
)

// specimen is a file and what must be found in it.
type specimen struct {
	name     string // what its owner calls it
	content  []byte
	kind     string
	text     string
	headings string // the paths of all parts, one a line
	pages    int
	rows     int
	columns  int
	warns    string
	code     string // of the error instead
	refused  bool   // with Unsupported
}

func backwards(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}

func utf16Of(text string, big, mark bool) []byte {
	if mark {
		text = "\ufeff" + text
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

func western(text string) []byte {
	b, err := charmap.Windows1252.NewEncoder().Bytes([]byte(text))
	if err != nil {
		panic(err)
	}
	return b
}

func paragraph0(text string) string { return "<w:p><w:r><w:t>" + text + "</w:t></w:r></w:p>" }

func styled(style, text string) string {
	return `<w:p><w:pPr><w:pStyle w:val="` + style + `"/></w:pPr><w:r><w:t xml:space="preserve">` + text + `</w:t></w:r></w:p>`
}

func numbered(list, level, text string) string {
	return `<w:p><w:pPr><w:numPr><w:ilvl w:val="` + level + `"/><w:numId w:val="` + list + `"/></w:numPr></w:pPr><w:r><w:t>` + text + `</w:t></w:r></w:p>`
}

const wordNS = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"`

// contract is a Word file with most of what Word files have.
func contract(t testing.TB) []byte {
	files := docxWith(
		styled("Titel", "Contract") +
			styled("berschrift1", "Parties") +
			`<w:p><w:r><w:t xml:space="preserve">Ada </w:t></w:r><w:del><w:r><w:delText>or Bob </w:delText></w:r></w:del><w:ins><w:r><w:t>and Eve</w:t></w:r></w:ins><w:r><w:rPr><w:vanish/></w:rPr><w:t> hidden</w:t></w:r><w:r><w:footnoteReference w:id="7"/><w:tab/><w:t>sign</w:t><w:br/><w:t>here.</w:t></w:r></w:p>` +
			numbered("1", "0", "First") + numbered("1", "1", "Inner") + numbered("1", "1", "Inner too") + numbered("1", "0", "Second") + numbered("1", "1", "Again") +
			numbered("2", "0", "Dot") +
			styled("Kind", "Terms") +
			`<w:tbl><w:tr><w:tc>` + paragraph0("a") + paragraph0("b") + `</w:tc><w:tc><w:tbl><w:tr><w:tc>` + paragraph0("in") + `</w:tc><w:tc>` + paragraph0("ner") + `</w:tc></w:tr></w:tbl>` + paragraph0("c") + `</w:tc></w:tr><w:tr><w:tc><w:p/></w:tc><w:tc>` + paragraph0("d") + `</w:tc></w:tr></w:tbl>` +
			`<w:p><w:r><mc:AlternateContent><mc:Choice><wps:txbx><w:txbxContent>` + paragraph0("In a box") + `</w:txbxContent></wps:txbx></mc:Choice><mc:Fallback><v:textbox><w:txbxContent>` + paragraph0("In a box") + `</w:txbxContent></v:textbox></mc:Fallback></mc:AlternateContent></w:r><w:r><w:t>Beside it</w:t></w:r><w:r><w:endnoteReference w:id="2"/></w:r></w:p>` +
			`<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>co</w:t><w:noBreakHyphen/><w:t>op &amp; “quotes”</w:t></w:r></w:p>`)
	files["word/styles.xml"] = xmlHead + `<w:styles ` + wordNS + `>
<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Kind"><w:name w:val="mine"/><w:basedOn w:val="Kind2"/></w:style>
<w:style w:styleId="Kind2"><w:name w:val="other"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>`
	files["word/numbering.xml"] = xmlHead + `<w:numbering ` + wordNS + `><w:abstractNum w:abstractNumId="5">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="§ %1"/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="6"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="&#xF0B7;"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="5"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="6"/></w:num></w:numbering>`
	files["word/footnotes.xml"] = xmlHead + `<w:footnotes ` + wordNS + `><w:footnote w:type="separator" w:id="-1">` + paragraph0("line") + `</w:footnote><w:footnote w:id="7">` + paragraph0("Her note.") + `</w:footnote></w:footnotes>`
	files["word/endnotes.xml"] = xmlHead + `<w:endnotes ` + wordNS + `><w:endnote w:id="2">` + paragraph0("At the end.") + `</w:endnote></w:endnotes>`
	return zipOf(t, files)
}

func pdfs(t testing.TB) map[string]specimen {
	var many []pdfPage
	var manyText []string
	for i := range 500 {
		many = append(many, pdfPage{content: pdfLine(72, 700, fmt.Sprint("This is page ", i+1))})
		manyText = append(manyText, fmt.Sprint("This is page ", i+1))
	}
	closed, err := os.ReadFile("testdata/encrypted.pdf")
	require.NoError(t, err)
	whole := makePDF(pdfPage{content: pdfLine(72, 700, "whole")})
	two := pdfLine(72, 700, "first line") + pdfLine(72, 686, "second line")
	page := func(content string, rotate int) []byte { return makePDF(pdfPage{content: content, rotate: rotate}) }
	return map[string]specimen{
		"pdf: plain":                           {content: page(two, 0), kind: "pdf", pages: 1, text: "first line\nsecond line"},
		"pdf: turned by 90":                    {content: page(two, 90), kind: "pdf", pages: 1, text: "first line\nsecond line"},
		"pdf: turned by 180":                   {content: page(two, 180), kind: "pdf", pages: 1, text: "first line\nsecond line"},
		"pdf: turned by 270":                   {content: page(two, 270), kind: "pdf", pages: 1, text: "first line\nsecond line"},
		"pdf: upright when turned":             {content: page("q 0 1 -1 0 500 100 cm\n"+two+"Q", 90), kind: "pdf", pages: 1, text: "first line\nsecond line"},
		"pdf: text on its side":                {content: page("q 0 1 -1 0 1200 -100 cm\n"+pdfLine(300, 700, "first line")+pdfLine(300, 686, "second line")+"Q", 0), kind: "pdf", pages: 1, text: "first line\nsecond line"},
		"pdf: columns":                         {content: page(pdfLine(72, 700, "left one")+pdfLine(72, 686, "left two")+pdfLine(330, 700, "right one")+pdfLine(330, 686, "right two"), 0), kind: "pdf", pages: 1, text: "left one\nleft two\nright one\nright two"},
		"pdf: ligatures":                       {content: page(pdfWide(72, 700, "oﬃce ﬁles ﬂow"), 0), kind: "pdf", pages: 1, text: "office files flow"},
		"pdf: hyphen":                          {content: page(pdfLine(72, 700, "divi-")+pdfLine(72, 686, "sion"), 0), kind: "pdf", pages: 1, text: "divi-\nsion"},
		"pdf: Japanese, Chinese":               {content: page(pdfWide(72, 700, "日本語の文章です。")+pdfWide(72, 680, "中文文本"), 0), kind: "pdf", pages: 1, text: "日本語の文章です。\n中文文本"},
		"pdf: Hebrew":                          {content: page(pdfWide(72, 700, backwards("שלום עולם טוב")), 0), kind: "pdf", pages: 1, text: "שלום עולם טוב"},
		"pdf: Hebrew with Latin":               {content: page(pdfWide(72, 700, "UAOL 3 "+backwards("ברוכים הבאים אל")), 0), kind: "pdf", pages: 1, text: "ברוכים הבאים אל UAOL 3"},
		"pdf: Latin with Hebrew":               {content: page(pdfWide(72, 700, "The greeting "+backwards("שלום עולם")+" is known everywhere"), 0), kind: "pdf", pages: 1, text: "The greeting שלום עולם is known everywhere"},
		"pdf: Arabic":                          {content: page(pdfWide(72, 700, backwards("مرحبا بالعالم العربي")), 0), kind: "pdf", pages: 1, text: "مرحبا بالعالم العربي"},
		"pdf: 500 pages":                       {content: makePDF(many...), kind: "pdf", pages: 500, text: strings.Join(manyText, "\n\n")},
		"pdf: empty page":                      {content: makePDF(pdfPage{}), kind: "pdf", pages: 1, warns: "there is no text in this file"},
		"pdf: encrypted":                       {content: closed, code: CodeEncrypted},
		"pdf: half of it":                      {content: whole[:len(whole)/4], code: CodeBroken},
		"pdf: rubbish":                         {content: []byte("%PDF-1.4\n" + strings.Repeat("rubbish", 100)), code: CodeBroken},
		"pdf: called a picture":                {name: "holiday.png", content: whole, kind: "pdf", pages: 1, text: "whole"},
		"pdf: a cut table of places is mended": {content: whole[:len(whole)-10], kind: "pdf", pages: 1, text: "whole"},
		"pdf: scanned without OCR":             {content: makePDF(pdfPage{image: picture(t, "")}), kind: "pdf", pages: 1, warns: "page 1 is scanned and no OCR is set up here"},
	}
}

func offices(t testing.TB) map[string]specimen {
	book := makeXLSX(t, func(f *excelize.File) {
		date, err := f.NewStyle(&excelize.Style{NumFmt: 14})
		require.NoError(t, err)
		percent, err := f.NewStyle(&excelize.Style{NumFmt: 10})
		require.NoError(t, err)
		money := "#,##0.00"
		coins, err := f.NewStyle(&excelize.Style{CustomNumFmt: &money})
		require.NoError(t, err)
		for cell, value := range map[string]any{"A1": "merged", "C1": true, "A3": time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "B3": 0.125, "C3": 1234567.891, "D3": "two\nlines"} {
			require.NoError(t, f.SetCellValue("Sheet1", cell, value))
		}
		require.NoError(t, f.MergeCell("Sheet1", "A1", "B1"))
		require.NoError(t, f.SetCellStyle("Sheet1", "A3", "A3", date))
		require.NoError(t, f.SetCellStyle("Sheet1", "B3", "B3", percent))
		require.NoError(t, f.SetCellStyle("Sheet1", "C3", "C3", coins))
		_, err = f.NewSheet("Zahlen")
		require.NoError(t, err)
		require.NoError(t, f.SetCellValue("Zahlen", "B2", "Größe"))
	}, nil)
	closedBook := makeXLSX(t, func(f *excelize.File) { require.NoError(t, f.SetCellValue("Sheet1", "A1", 1)) }, nil, excelize.Options{Password: "secret"})
	show := zipOf(t, pptxWith(
		[2]string{shape("ctrTitle", "Plan") + shape("", "one", "two") + shape("ftr", "a footer") + shape("sldNum", "1"), "Say hello."},
		[2]string{shape("", "before the title") + shape("title", "Figures") + `<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>un</a:t></a:r></a:p></a:txBody></a:tc><a:tc><a:txBody><a:p><a:r><a:t>1</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>`, ""}))
	word := contract(t)
	old := olds(t)
	doc := old["letter.doc"]
	bomb := docxWith(paragraph0("&z;"))
	bomb["word/document.xml"] = `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY z "&b;&b;&b;&b;&b;&b;&b;&b;">]>` + strings.TrimPrefix(bomb["word/document.xml"], xmlHead)
	manifest := `<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry></manifest:manifest>`
	return map[string]specimen{
		"docx: contract": {content: word, kind: "docx",
			text:     "Contract\n\nParties\nAda and Eve[^1]\tsign\nhere.\n§ 1 First\n1.a) Inner\n1.b) Inner too\n§ 2 Second\n2.a) Again\n- Dot\n\nTerms\na b\tin ner c\n\td\nIn a box\nBeside it[^2]\nco-op & “quotes”\n[^1]: Her note.\n[^2]: At the end.",
			headings: "Contract\nParties\nParties/Terms"},
		"docx: table of a million rows": {content: manyRows(1_000_000 / underRace), kind: "docx"},
		"docx: half of it":              {name: "a.docx", content: word[:len(word)/2], code: CodeBroken},
		"docx: flipped bytes":           {content: flipped(word), code: CodeBroken},
		"docx: XML bomb":                {content: zipOf(t, bomb), code: CodeBroken},
		"docx: no such part":            {content: zipOf(t, without(docxWith(""), "word/document.xml")), code: CodeBroken},
		"docx: called PDF":              {name: "a.pdf", content: zipOf(t, docxWith(paragraph0("word"))), kind: "docx", text: "word"},
		"docx: empty":                   {content: zipOf(t, docxWith("")), kind: "docx", warns: "there is no text in this file"},
		"docx: Thai, emoji":             {content: zipOf(t, docxWith(paragraph0("สวัสดีชาวโลก 👩‍👩‍👧"))), kind: "docx", text: "สวัสดีชาวโลก 👩‍👩‍👧"},
		"pptx: slides in their order":   {content: show, kind: "pptx", pages: 2, text: "Plan\none\ntwo\nNotes: Say hello.\n\nbefore the title\n\nFigures\nun\t1", headings: "Plan\n\nFigures"},
		"xlsx: cells as they are shown": {content: book, kind: "xlsx", rows: 5, columns: 4, text: "merged\t\tTRUE\n2024-02-29\t12.50%\t1,234,567.89\ttwo lines\n\n\tGröße"},
		"xlsx: encrypted":               {content: closedBook, code: CodeEncrypted},
		"xlsx: half of it":              {content: book[:len(book)/2], code: CodeBroken},
		"odt: encrypted":                {content: zipOf(t, map[string]string{"mimetype": "application/vnd.oasis.opendocument.text", "META-INF/manifest.xml": manifest, "content.xml": "xxxx"}), code: CodeEncrypted},
		"epub: chapters": {content: zipOf(t, map[string]string{
			"mimetype":               "application/epub+zip",
			"META-INF/container.xml": `<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>`,
			"OEBPS/book.opf":         `<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="b" href="two%20b.xhtml" media-type="application/xhtml+xml"/><item id="a" href="one.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>`,
			"OEBPS/one.xhtml":        `<html><body><h1>One</h1><p>begins</p></body></html>`, "OEBPS/two b.xhtml": `<html><body><h1>Two</h1><p>ends</p></body></html>`,
		}), kind: "epub", text: "One\nbegins\n\nTwo\nends", headings: "One\nTwo"},
		"doc: half of it":     {content: doc[:len(doc)/2], code: CodeBroken},
		"doc: only its name":  {content: oldOffice("WordDocument"), code: CodeBroken},
		"doc: encrypted":      {content: old["encrypted.doc"], code: CodeEncrypted},
		"doc: Word 95":        {content: made97{pieces: []piece97{{"a\r", false}}, version: 0x0068}.file(), refused: true, warns: "save it as .docx"},
		"doc: called a sheet": {name: "a.xls", content: made97{pieces: []piece97{{"Größe\r", false}}}.file(), kind: "doc", text: "Größe"},
		"xls: cells":          {content: compoundOf(stored{name: "Workbook", content: sheets97(row97("日本", "b"))}), kind: "xls", rows: 1, columns: 2, text: "日本\tb"},
		"xls: nothing in it":  {content: compoundOf(stored{name: "Workbook", content: sheets97(nil)}), kind: "xls", warns: "there is no text in this file"},
		"xls: half of it":     {content: old["many.xls"][:20000], code: CodeBroken},
		"xls: only its name":  {content: oldOffice("Workbook"), code: CodeBroken},
		"xls: encrypted":      {content: old["encrypted.xls"], code: CodeEncrypted},
		"xls: Excel 95":       {content: compoundOf(stored{name: "Book"}), refused: true, warns: "save it as .xlsx"},
		"ppt: old":            {content: oldOffice("PowerPoint Document"), refused: true, warns: "save it as .pptx"},
		"zip: no office":      {content: zipOf(t, map[string]string{"a.txt": "a"}), refused: true, warns: "unpack it"},
	}
}

// oldOffice is the beginning of a file of old Office programs, with the name of a stream.
func oldOffice(name string) []byte {
	return append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"+strings.Repeat("\x00", 504)), utf16Of(name, false, false)...)
}

// flipped damages what is packed, and leaves the archive's directory.
func flipped(content []byte) []byte {
	content = slices.Clone(content)
	for i := 200; i < 2000; i += 7 {
		content[i] ^= 0x55
	}
	return content
}

func without(files map[string]string, name string) map[string]string {
	delete(files, name)
	return files
}

func texts(testing.TB) map[string]specimen {
	const table = "name;size\nMüller;1,5\nGröße;2,5\n"
	const found = "name\tsize\nMüller\t1,5\nGröße\t2,5"
	mail := strings.ReplaceAll(`From: =?UTF-8?Q?Ada_L=C3=B6we?= <ada@example.com>
To: bob@example.com
Subject: Hello
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: multipart/alternative; boundary=y

--y
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe
--y
Content-Type: text/html

<p>Schöne Grüße
--y--
--x
Content-Type: application/pdf
Content-Disposition: attachment; filename=a.pdf
Content-Transfer-Encoding: base64

JVBERi0=
--x--
`, "\n", "\r\n")
	page := `<!doctype html><html><head><title>The  page</title><style>p{}</style><script>var x = "no"</script></head><body>
<nav hidden>secret</nav><h1>Head<em>line</em></h1><p>A <b>bold</b>  word,<br>a break &amp; more&nbsp;here.</p><div style="display: none">unseen</div>
<ul><li>one<ul><li>deep</ul><li><p>two</ul><ol><li>first<li>second</ol><h2>Table</h2>
<table><tr><th>a<th>b</tr><tr><td><p>1</p><p>2</p><td>3</table><pre>x  =  1
  y</pre><template>t</template><noscript>turn it on</noscript><p>end`
	return map[string]specimen{
		"csv: UTF-8":             {name: "a.csv", content: []byte(table), kind: "csv", rows: 3, columns: 2, text: found},
		"csv: UTF-8 with mark":   {name: "a.csv", content: []byte("\ufeff" + table), kind: "csv", rows: 3, columns: 2, text: found},
		"csv: UTF-16":            {name: "a.csv", content: utf16Of(table, false, true), kind: "csv", rows: 3, columns: 2, text: found},
		"csv: UTF-16 big":        {name: "a.csv", content: utf16Of(table, true, true), kind: "csv", rows: 3, columns: 2, text: found},
		"csv: UTF-16 unmarked":   {name: "a.csv", content: utf16Of(table, false, false), kind: "csv", rows: 3, columns: 2, text: found},
		"csv: Windows-1252":      {name: "a.csv", content: western(table), kind: "csv", rows: 3, columns: 2, text: found},
		"csv: tabs":              {name: "a.tsv", content: []byte("a\tb,c\n1\t2,3\n"), kind: "csv", rows: 2, columns: 2, text: "a\tb,c\n1\t2,3"},
		"csv: bars":              {name: "a.csv", content: []byte("a|b|c\n1|2,5|3\n"), kind: "csv", rows: 2, columns: 3, text: "a\tb\tc\n1\t2,5\t3"},
		"csv: quotes":            {name: "a.csv", content: []byte("a,\"b, \"\"c\"\"\nd\"\n1,2\n"), kind: "csv", rows: 2, columns: 2, text: "a\tb, \"c\" d\n1\t2"},
		"csv: bad quotes":        {name: "a.csv", content: []byte("a,b\"c\n1,2\n"), kind: "csv", rows: 2, columns: 2, text: "a\tb\"c\n1\t2"},
		"csv: says its sign":     {name: "a.csv", content: []byte("sep=|\na|b\n1|2\n"), kind: "csv", rows: 2, columns: 2, text: "a\tb\n1\t2"},
		"csv: one column":        {name: "a.csv", content: []byte("a\nb\n"), kind: "csv", rows: 2, columns: 1, text: "a\nb"},
		"csv: without a name":    {content: []byte("a;b;c\n1;2;3\n4;5;6\n7;8;9\n"), kind: "csv", rows: 4, columns: 3, text: "a\tb\tc\n1\t2\t3\n4\t5\t6\n7\t8\t9"},
		"html: page":             {content: []byte(page), kind: "html", text: "The page\n\nHeadline\nA bold word,\na break & more\u00a0here.\n- one\n  - deep\n- two\n1. first\n2. second\n\nTable\na\tb\n1 2\t3\nx  =  1\n  y\nend", headings: "The page\nThe page/Headline\nThe page/Headline/Table"},
		"html: Cyrillic":         {content: append([]byte("<html><head><meta charset=windows-1251></head><p>"), 0xcc, 0xee, 0xf1, 0xea, 0xe2, 0xe0), kind: "html", text: "Москва"},
		"html: called text":      {name: "a.txt", content: []byte("<!-- x --><HTML><body>hi"), kind: "html", text: "hi"},
		"html: deep":             {content: []byte("<html><body>" + strings.Repeat("<div>", 100_000) + "deep"), code: CodeBroken},
		"markdown":               {name: "a.md", content: []byte("intro\n\n# One\ntext\n```sh\n# no heading\n```\nTwo\n---\nmore\n### Three ##\nend\n"), kind: "markdown", text: "intro\n\n# One\ntext\n```sh\n# no heading\n```\n\nTwo\n---\nmore\n\n### Three ##\nend", headings: "\nOne\nOne/Two\nOne/Two/Three"},
		"json":                   {content: []byte("{\"a\": [1, 2]}\n"), kind: "json", text: "{\"a\": [1, 2]}"},
		"json: lines":            {name: "a.json", content: []byte("{\"a\":1}\n{\"a\":2}\n"), kind: "json", text: "{\"a\":1}\n{\"a\":2}"},
		"json: only by its name": {name: "a.json", content: []byte("not json"), kind: "text", text: "not json"},
		"xml":                    {content: []byte(`<?xml version="1.0"?><a>ü</a>`), kind: "xml", text: `<?xml version="1.0"?><a>ü</a>`},
		"xml: Latin-2":           {content: append([]byte(`<?xml version="1.0" encoding="iso-8859-2"?><a>`), append([]byte{0xb3, 0xf3, 0x64, 0xbc}, "</a>"...)...), kind: "xml", text: `<?xml version="1.0" encoding="iso-8859-2"?><a>łódź</a>`},
		"xml: bomb":              {content: []byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "xxxxxxxxxx">]><a>&b;&b;</a>`), kind: "xml", text: `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "xxxxxxxxxx">]><a>&b;&b;</a>`},
		"text: UTF-8":            {content: []byte("Zeile eins\r\nüber"), kind: "text", text: "Zeile eins\nüber"},
		"text: UTF-16":           {content: utf16Of("日本語\nb", true, true), kind: "text", text: "日本語\nb"},
		"text: Windows-1252":     {content: western("naïve “quotes” – 5 €"), kind: "text", text: "naïve “quotes” – 5 €"},
		"text: about PDF":        {name: "a.txt", content: []byte("A PDF begins with %PDF-1.7, always."), kind: "text", text: "A PDF begins with %PDF-1.7, always."},
		"text: called Word":      {name: "a.docx", content: []byte("only text"), kind: "text", text: "only text"},
		"text: empty":            {name: "a.txt", kind: "text", warns: "the file is empty"},
		"mail":                   {content: []byte(mail), kind: "mail", text: "From: Ada Löwe <ada@example.com>\nTo: bob@example.com\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nSubject: Hello\n\nSchöne Grüße", warns: `the attachment "a.pdf" is not part of this text`},
		"rtf":                    {content: []byte(`{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator x;}Gr\'fc\'dfe \u26085?\u-10179?\u-8704? \{x\}\par b\tab c}`), kind: "rtf", text: "Grüße 日😀 {x}\nb\tc"},
		"rtf: half of it":        {content: []byte(`{\rtf1 {a`), code: CodeBroken},
		"binary":                 {name: "a.txt", content: []byte("a\x00\x01\x02\x03\xff\xfe\x80" + strings.Repeat("\x00\x07", 50)), refused: true, warns: "can't be told"},
		"film":                   {content: []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + strings.Repeat("\x00", 50)), refused: true, warns: "video/mp4"},
		"picture: half of it":    {content: []byte("\x89PNG\r\n\x1a\n\x00\x00"), code: CodeBroken},
	}
}

// TestCorpus has files of all kinds read, good and bad, by one process.
func TestCorpus(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_TIMEOUT": "10m"}) // the race detector takes its time
	e.find.Do(func() { e.noReader = "no OCR is set up here" })
	all := pdfs(t)
	maps.Copy(all, offices(t))
	maps.Copy(all, texts(t))
	all["picture"] = specimen{content: pngOf(t, picture(t, "")), kind: "image", warns: "this is an image and no OCR is set up here"}
	require.Greater(t, len(all), 60)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		want := all[name]
		t.Run(name, func(t *testing.T) {
			doc, err := e.extract(t, want.name, want.content)
			switch {
			case want.refused:
				requireFault(t, err, services.Unsupported, "", want.warns)
				return
			case want.code != "":
				requireFault(t, err, services.Invalid, want.code, "")
				return
			}
			require.NoError(t, err)
			require.Equal(t, want.kind, doc.Type)
			require.Equal(t, want.warns, strings.Join(doc.Warnings, "\n"))
			require.Equal(t, [3]int{want.pages, want.rows, want.columns}, [3]int{doc.Pages, doc.Rows, doc.Columns})
			if strings.Contains(name, "million") {
				const rows = 1_000_000 / underRace
				require.Equal(t, rows, strings.Count(doc.Text(), "\t"))
				require.True(t, strings.HasSuffix(doc.Text(), fmt.Sprintf("\n%d\t%x", rows-1, (rows-1)*7919)), doc.Text()[len(doc.Text())-30:])
				return
			}
			require.Equal(t, want.text, doc.Text())
			if want.headings != "" {
				var paths []string
				for _, part := range doc.Parts {
					paths = append(paths, strings.Join(part.Heading, "/"))
				}
				require.Equal(t, want.headings, strings.Join(paths, "\n"))
			}
		})
	}
}
