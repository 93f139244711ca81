package documents

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, files[name])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

const (
	xmlHead  = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`
	relsHead = xmlHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`
	officeNS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
)

func contentTypes(part, kind string) string {
	return xmlHead + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/` + part +
		`" ContentType="application/vnd.openxmlformats-officedocument.` + kind + `.main+xml"/></Types>`
}

// docxWith are the files of a Word file with this body.
func docxWith(body string) map[string]string {
	return map[string]string{
		"[Content_Types].xml": contentTypes("word/document.xml", "wordprocessingml.document"),
		"_rels/.rels":         relsHead + `<Relationship Id="r1" Type="` + officeNS + `/officeDocument" Target="word/document.xml"/></Relationships>`,
		"word/document.xml": xmlHead + `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><w:body>` +
			body + `</w:body></w:document>`,
	}
}

// manyRows is a Word file with one table of so many rows of two cells.
func manyRows(n int) []byte {
	var b strings.Builder
	b.WriteString("<w:tbl>")
	for i := range n {
		fmt.Fprintf(&b, "<w:tr><w:tc><w:p><w:r><w:t>%d</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>%x</w:t></w:r></w:p></w:tc></w:tr>", i, i*7919)
	}
	b.WriteString("</w:tbl>")
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for name, text := range docxWith(b.String()) {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return z.Bytes()
}

// pptxWith are the files of a presentation; each slide is its shapes and its notes.
func pptxWith(slides ...[2]string) map[string]string {
	const main, p = "ppt/presentation.xml", `xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="` + officeNS + `"`
	files := map[string]string{
		"[Content_Types].xml": contentTypes(main, "presentationml.presentation"),
		"_rels/.rels":         relsHead + `<Relationship Id="r1" Type="` + officeNS + `/officeDocument" Target="/ppt/presentation.xml"/></Relationships>`,
	}
	var list, relations strings.Builder
	for i := range slides { // stored in an order that is not that of the show
		n := len(slides) - i
		fmt.Fprintf(&list, `<p:sldId id="%d" r:id="rId%d"/>`, 256+i, n)
		fmt.Fprintf(&relations, `<Relationship Id="rId%d" Type="%s/slide" Target="slides/slide%d.xml"/>`, n, officeNS, n)
		files[fmt.Sprintf("ppt/slides/slide%d.xml", n)] = xmlHead + `<p:sld ` + p + `><p:cSld><p:spTree>` + slides[i][0] + `</p:spTree></p:cSld></p:sld>`
		if slides[i][1] != "" {
			files[fmt.Sprintf("ppt/slides/_rels/slide%d.xml.rels", n)] = relsHead + fmt.Sprintf(`<Relationship Id="rId1" Type="%s/notesSlide" Target="../notesSlides/notes%d.xml"/></Relationships>`, officeNS, n)
			files[fmt.Sprintf("ppt/notesSlides/notes%d.xml", n)] = xmlHead + `<p:notes ` + p + `><p:cSld><p:spTree>` + shape("body", slides[i][1]) + shape("sldNum", "7") + `</p:spTree></p:cSld></p:notes>`
		}
	}
	files[main] = xmlHead + `<p:presentation ` + p + `><p:sldIdLst>` + list.String() + `</p:sldIdLst></p:presentation>`
	files["ppt/_rels/presentation.xml.rels"] = relsHead + relations.String() + `</Relationships>`
	return files
}

func shape(placeholder string, paragraphs ...string) string {
	text := ""
	for _, p := range paragraphs {
		text += `<a:p><a:r><a:t>` + p + `</a:t></a:r></a:p>`
	}
	if placeholder != "" {
		placeholder = `<p:nvSpPr><p:nvPr><p:ph type="` + placeholder + `"/></p:nvPr></p:nvSpPr>`
	}
	return `<p:sp>` + placeholder + `<p:txBody>` + text + `</p:txBody></p:sp>`
}

// makeXLSX is a workbook that fill fills, with files of its own besides.
func makeXLSX(t testing.TB, fill func(book *excelize.File), extra map[string]string, options ...excelize.Options) []byte {
	t.Helper()
	book := excelize.NewFile()
	defer book.Close()
	fill(book)
	var b bytes.Buffer
	require.NoError(t, book.Write(&b, options...))
	if len(extra) == 0 {
		return b.Bytes()
	}
	files := unzipped(t, b.Bytes())
	maps.Copy(files, extra)
	return zipOf(t, files)
}

func unzipped(t testing.TB, content []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	for _, f := range r.File {
		content, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(content)
		require.NoError(t, err)
		files[f.Name] = string(text)
	}
	return files
}

// picture is a page of 612 by 792 pixels with text in large letters.
func picture(t testing.TB, text string) *image.Gray {
	t.Helper()
	page := image.NewGray(image.Rect(0, 0, 612, 792))
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	regular, err := opentype.Parse(goregular.TTF)
	require.NoError(t, err)
	face, err := opentype.NewFace(regular, &opentype.FaceOptions{Size: 36, DPI: 72})
	require.NoError(t, err)
	d := font.Drawer{Dst: page, Src: image.Black, Face: face, Dot: fixed.P(40, 160)}
	d.DrawString(text)
	return page
}

func pngOf(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, picture))
	return b.Bytes()
}
