package documents

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// requireSound wants what holds for every file: a document or an error for people, no
// panic, no more text than may be, and none that databases refuse.
func requireSound(t *testing.T, x *extraction) {
	x.limits.Text, x.limits.Unpacked, x.limits.Pages = 1<<20, 8<<20, 50
	doc, err := x.run()
	var p panicked
	require.False(t, os.IsNotExist(err))
	if err != nil {
		var fault *services.Error
		require.ErrorAs(t, err, &fault)
		require.NotErrorAs(t, err, &p)
		return
	}
	size := 0
	for _, part := range doc.Parts {
		require.NotEmpty(t, part.Text)
		require.True(t, utf8.ValidString(part.Text))
		require.NotContains(t, part.Text, "\x00")
		size += len(part.Text)
	}
	require.LessOrEqual(t, size, x.limits.Text)
}

// FuzzFile has any bytes sniffed and read by whatever they look like, but PDFs, which
// are read by what can't harm this process.
func FuzzFile(f *testing.F) {
	const most = 32 << 10 // bytes; what is larger takes long and finds no more
	files, _ := filepath.Glob("testdata/files/*")
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && filepath.Ext(file) != ".pdf" {
			f.Add(content, filepath.Base(file))
		}
	}
	for _, s := range texts(f) {
		if len(s.content) < most {
			f.Add(s.content, s.name)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		if len(content) > most || pdfBegin(content[:min(len(content), headSize)]) {
			return
		}
		requireSound(t, extractionOf(t, name, content))
	})
}

// fuzzPart fuzzes one part of an archive, which is then packed.
func fuzzPart(f *testing.F, part string, files map[string]string) {
	f.Add(files[part])
	f.Fuzz(func(t *testing.T, text string) {
		files := without(clone(files), part)
		files[part] = text
		requireSound(t, extractionOf(t, "", zipOf(t, files)))
	})
}

func clone(files map[string]string) map[string]string {
	copied := map[string]string{}
	for name, text := range files {
		copied[name] = text
	}
	return copied
}

func FuzzDocx(f *testing.F) {
	fuzzPart(f, "word/document.xml", unzipped(f, contract(f)))
}

func FuzzDocxNumbering(f *testing.F) {
	fuzzPart(f, "word/numbering.xml", unzipped(f, contract(f)))
}

func FuzzPptx(f *testing.F) {
	fuzzPart(f, "ppt/slides/slide1.xml", pptxWith([2]string{shape("title", "Plan") + shape("", "one", "two"), ""}))
}

func FuzzXlsx(f *testing.F) {
	content, err := os.ReadFile("testdata/files/book.xlsx")
	require.NoError(f, err)
	fuzzPart(f, "xl/worksheets/sheet1.xml", unzipped(f, content))
}

func FuzzOdt(f *testing.F) {
	content, err := os.ReadFile("testdata/files/letter.odt")
	require.NoError(f, err)
	fuzzPart(f, "content.xml", unzipped(f, content))
}

func fuzzAs(f *testing.F, read func(*extraction) (Document, error), seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		x := extractionOf(t, "", content)
		x.limits.Text = 1 << 20
		_, err := read(x)
		var p panicked
		require.NotErrorAs(t, err, &p)
	})
}

func FuzzCSV(f *testing.F) {
	fuzzAs(f, (*extraction).csv, "a,b\n1,2\n", "a;\"b\n\"\"\";c\r\n", "sep=|\na|b", "\xff\xfea\x00", "\ufeffa\tb")
}

func FuzzHTML(f *testing.F) {
	fuzzAs(f, (*extraction).html, "<h1>a</h1><p>b<table><tr><td><table><tr><td>c", "<ul><li><ol><li><pre>\n", "<meta charset=utf-16><p>", "<svg><foreignObject><p>x", "<select><option>a")
}

func FuzzRTF(f *testing.F) {
	fuzzAs(f, (*extraction).rtf, `{\rtf1 a\par\'e4\u8364?{\*\x y}\bin3 abc}`, `{\rtf1{\fonttbl{\f0 A;}}b`)
}

func FuzzMail(f *testing.F) {
	fuzzAs(f, (*extraction).mail, "From: a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nb\r\n--x--", "Subject: =?utf-8?b?w7w=?=\n\n")
}

func FuzzMarkdown(f *testing.F) {
	fuzzAs(f, (*extraction).markdown, "# a\nb\n===\n```\n# c\n```", "a\n---\n#")
}
