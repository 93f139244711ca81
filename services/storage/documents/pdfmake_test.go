package documents

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image"
	"strings"
	"unicode/utf16"
)

// pdfMaker writes PDFs of the plainest kind. Its font F is Helvetica; G shows any
// character, by a map from glyphs to Unicode as programs write them, one em wide.
type pdfMaker struct{ objects []string }

type pdfPage struct {
	content string
	rotate  int
	image   *image.Gray // drawn over the whole page
}

// pdfLine is a line of Helvetica at a place.
func pdfLine(x, y int, text string) string {
	return fmt.Sprintf("BT /F 12 Tf %d %d Td (%s) Tj ET\n", x, y, strings.NewReplacer("(", `\(`, ")", `\)`, `\`, `\\`).Replace(text))
}

// pdfWide is a line of any characters, drawn from left to right.
func pdfWide(x, y int, text string) string {
	return fmt.Sprintf("BT /G 12 Tf %d %d Td <%s> Tj ET\n", x, y, hex16(text))
}

func hex16(text string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

func (m *pdfMaker) object(text string) int {
	m.objects = append(m.objects, text)
	return len(m.objects)
}

func (m *pdfMaker) stream(dict string, content []byte) int {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(content)
	_ = z.Close()
	return m.object(fmt.Sprintf("<< %s /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream", dict, packed.Len(), packed.Bytes()))
}

func makePDF(pages ...pdfPage) []byte {
	m := &pdfMaker{}
	catalog, tree := m.object(""), m.object("")
	helvetica := m.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	var ranges strings.Builder
	for high := range 256 { // ToUnicode's ranges may not cross a first byte
		fmt.Fprintf(&ranges, "<%02X00> <%02XFF> <%02X00>\n", high, high, high)
	}
	var blocks strings.Builder
	lines := strings.SplitAfter(strings.TrimSpace(ranges.String()), "\n")
	for at := 0; at < len(lines); at += 64 {
		fmt.Fprintf(&blocks, "64 beginbfrange\n%s\nendbfrange\n", strings.Join(lines[at:at+64], ""))
	}
	cmap := m.stream("", []byte("/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def\n"+
		"1 begincodespacerange <0000> <FFFF> endcodespacerange\n"+blocks.String()+"endcmap end end"))
	wide := m.object(fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /Any /Encoding /Identity-H /ToUnicode %d 0 R /DescendantFonts [ << /Type /Font /Subtype /CIDFontType2 /BaseFont /Any /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 1000 /FontDescriptor << /Type /FontDescriptor /FontName /Any /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >> >> ] >>", cmap))
	var kids []string
	for _, page := range pages {
		xobject := ""
		content := page.content
		if page.image != nil {
			size := page.image.Bounds().Size()
			id := m.stream(fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8", size.X, size.Y), page.image.Pix)
			xobject = fmt.Sprintf("/XObject << /I %d 0 R >>", id)
			content = "q 612 0 0 792 0 0 cm /I Do Q\n" + content
		}
		body := m.stream("", []byte(content))
		id := m.object(fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] /Rotate %d /Resources << /Font << /F %d 0 R /G %d 0 R >> %s >> /Contents %d 0 R >>", tree, page.rotate, helvetica, wide, xobject, body))
		kids = append(kids, fmt.Sprintf("%d 0 R", id))
	}
	m.objects[catalog-1] = fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R >>", tree)
	m.objects[tree-1] = fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(kids), strings.Join(kids, " "))
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(m.objects))
	for i, object := range m.objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, catalog, at)
	return b.Bytes()
}
