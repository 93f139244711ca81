package contract

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// boundary is the one that the recorded forms have.
const boundary = "----uaolbase"

// part is a file of a recorded form. Of most forms only the length was recorded; the
// files here say what the recorded ones said.
type part struct{ field, name, kind, content string }

const (
	words       = "Hello UAOL text file.\nSecond line: 42.\n"
	office      = "application/vnd.openxmlformats-officedocument."
	tinyPicture = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x04\x00\x00\x00\xb5\x1c\x0c\x02\x00\x00\x00\x0bIDATx\xdacd`\x00\x00\x00\x06\x00\x020\x81\xd0/\x00\x00\x00\x00IEND\xaeB`\x82"
	silence     = "RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"
)

var forms = map[int]func(t *testing.T) []part{
	161: func(*testing.T) []part { return []part{{"files", "small.txt", "text/plain", words}} },
	162: func(*testing.T) []part { return []part{{"files", "small.pdf", "application/pdf", smallPDF()}} },
	163: func(t *testing.T) []part {
		return []part{{"files", "small.docx", office + "wordprocessingml.document", smallDocx(t)}}
	},
	164: func(t *testing.T) []part {
		return []part{{"files", "small.xlsx", office + "spreadsheetml.sheet", smallXlsx(t)}}
	},
	165: func(*testing.T) []part { return []part{{"files", "small.csv", "text/csv", "a,b\n1,2\n3,4\n"}} },
	166: func(*testing.T) []part {
		return []part{{"files", "small.json", "application/json", `{"k":[1,2,{"x":true}]}`}}
	},
	167: func(*testing.T) []part { return []part{{"files", "tiny.png", "image/png", tinyPicture}} },
	168: func(*testing.T) []part {
		return []part{{"files", "small.txt", "text/plain", words}, {"files", "small.pdf", "application/pdf", smallPDF()}}
	},
	170: func(*testing.T) []part { return []part{{"files", "x.bin", "application/octet-stream", "\x00\x01\x02"}} },
	171: func(*testing.T) []part { return []part{{"wrong", "small.txt", "text/plain", "hi"}} },
	172: func(*testing.T) []part { return nil },
	174: func(*testing.T) []part { return []part{{"audio", "a.wav", "audio/wav", silence}} },
	175: func(*testing.T) []part { return nil },
	176: func(*testing.T) []part { return []part{{"audio", "a.txt", "text/plain", "hi"}} },
}

// form writes a multipart body as the recorded ones were written.
func form(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q; filename=%q\r\nContent-Type: %s\r\n\r\n%s\r\n", boundary, p.field, p.name, p.kind, p.content)
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func smallPDF() string {
	var b strings.Builder
	var at []int
	b.WriteString("%PDF-1.4\n")
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		"<< /Length 51 >>\nstream\nBT /F1 24 Tf 72 700 Td (Hello PDF from UAOL.) Tj ET\nendstream",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	table := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, place := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", place)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, table)
	return b.String()
}

const (
	relations = `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/></Relationships>`
	kinds     = `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>%s</Types>`
	override  = `<Override PartName="%s" ContentType="application/vnd.openxmlformats-officedocument.%s+xml"/>`
)

func smallDocx(t *testing.T) string {
	return packed(t,
		"[Content_Types].xml", fmt.Sprintf(kinds, fmt.Sprintf(override, "/word/document.xml", "wordprocessingml.document.main")),
		"_rels/.rels", fmt.Sprintf(relations, "officeDocument", "word/document.xml"),
		"word/document.xml", `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>Hello DOCX from UAOL baseline.</w:t></w:r></w:p><w:p><w:r><w:t>Second paragraph.</w:t></w:r></w:p></w:body></w:document>`)
}

func smallXlsx(t *testing.T) string {
	cells := `<row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c><c r="B1" t="inlineStr"><is><t>qty</t></is></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>bolt</t></is></c><c r="B2"><v>42</v></c></row>`
	return packed(t,
		"[Content_Types].xml", fmt.Sprintf(kinds, fmt.Sprintf(override, "/xl/workbook.xml", "spreadsheetml.sheet.main")+fmt.Sprintf(override, "/xl/worksheets/sheet1.xml", "spreadsheetml.worksheet")),
		"_rels/.rels", fmt.Sprintf(relations, "officeDocument", "xl/workbook.xml"),
		"xl/workbook.xml", `<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", fmt.Sprintf(relations, "worksheet", "worksheets/sheet1.xml"),
		"xl/worksheets/sheet1.xml", `<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`+cells+`</sheetData></worksheet>`)
}

// packed is an archive of names and contents in turn.
func packed(t *testing.T, files ...string) string {
	t.Helper()
	var b strings.Builder
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		require.NoError(t, err)
		_, err = io.WriteString(f, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.String()
}

// fetched is the recorded address of a file that recording 168 has uploaded.
const fetched = "/uploads/831db51c-e252-42c2-8a0b-eb76097ccc1a/file_1795375288785_gnh9otyu5.txt"

// ownerFetches: the world gets nothing by the address of a file, its owner does.
func ownerFetches(t *testing.T, p *replay) {
	r := p.all[169-1]
	client, path := p.client(r)
	answer := client.As(p.token["alice"]).Do(t, r.Method, p.ours(path), nil)
	require.Equal(t, 200, answer.Status, answer)
	require.Equal(t, words, string(answer.Body))
}
