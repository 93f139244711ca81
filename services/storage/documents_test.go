package storage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/blobs"
	"uaol/providers/config"
	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/storage/documents"
	"uaol/services/storage/library"
)

// reads starts a reader of documents, which ends with the test or by the function.
func (b *bench) reads(t testing.TB) (stop func()) {
	t.Helper()
	return b.readsFrom(t, b.service)
}

func (b *bench) readsFrom(t testing.TB, contents library.Contents) (stop func()) {
	t.Helper()
	cfg, err := config.Parse[documents.Config](config.Of(nil))
	require.NoError(t, err)
	extractor := documents.New(cfg, filepath.Join(cacheDir(t), "uaol-test-documents"), zap.NewNop())
	reader := library.NewReader(library.NewRepository(b.pool), contents, extractor, b.service.bell, zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := reader.Run(ctx); err != nil {
			t.Errorf("a reader ended: %v", err)
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); running.Wait(); extractor.Close() }) }
	t.Cleanup(stop)
	return stop
}

// cacheDir keeps PDFium compiled for all of a machine's test runs.
func cacheDir(t testing.TB) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return dir
}

// sample is a document that is kept with the package that reads them.
func sample(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("documents", "testdata", "files", name))
	require.NoError(t, err)
	return string(content)
}

// read uploads a document and waits until it is read.
func (b *bench) read(t testing.TB, caller services.Caller, name, content string) (File, library.Document) {
	t.Helper()
	f := b.upload(t, caller, name, content)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	all, err := b.library.Await(ctx, []library.File{asDocument(f)})
	require.NoError(t, err)
	require.Contains(t, []library.Status{library.Read, library.Failed}, all[0].Status)
	return f, all[0]
}

type sent struct{ name, kind, content string }

// documentsForm is a form as the contract's clients send it.
func documentsForm(t testing.TB, files ...sent) (http.Header, *bytes.Buffer) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range files {
		field := "files"
		if f.kind == "wrong field" {
			field, f.kind = "wrong", "text/plain"
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, field, f.name)}, "Content-Type": {f.kind}})
		require.NoError(t, err)
		_, _ = io.WriteString(part, f.content)
	}
	require.NoError(t, w.Close())
	return http.Header{"Content-Type": {w.FormDataContentType()}}, &body
}

// TestChatUpload: files come with what they say, in the contract's shape.
func TestChatUpload(t *testing.T) {
	t.Parallel()
	b, guest := setup(t), user()
	guest.Role = services.RoleGuest
	b.reads(t)
	header, body := documentsForm(t,
		sent{"small.txt", "text/plain", "Hello UAOL text file.\nSecond line: 42.\n"},
		sent{"small.csv", "text/csv", "a,b\n1,2\n3,4\n"},
		sent{"small.json", "application/json", `{"k":[1,2,{"x":true}]}`},
		sent{"letter.docx", "application/octet-stream", sample(t, "letter.docx")},
		sent{"book.xlsx", "", sample(t, "book.xlsx")},
		sent{"show.pdf", "application/pdf", sample(t, "show.pdf")},
		sent{"notes.md", "text/markdown", "# Title\n\nWords.\n"},
		sent{"data.xml", "text/xml", `<?xml version="1.0"?><a>b</a>`},
		sent{"tiny.png", "image/png", png},
		sent{"empty.txt", "text/plain", ""})
	response := b.ask(t, guest, "POST", "/chat/upload", header, body)
	got := text(t, response)
	require.Equal(t, 200, response.StatusCode, got)
	var answer struct {
		Data      documentsBody
		Timestamp time.Time
	}
	require.NoError(t, json.Unmarshal([]byte(got), &answer))
	require.WithinDuration(t, time.Now(), answer.Timestamp, time.Minute)
	require.Len(t, answer.Data.Files, 10)
	require.Equal(t, 10, answer.Data.Summary.Total)
	require.Equal(t, 8, answer.Data.Summary.WithText)
	by := map[string]documentBody{}
	size := int64(0)
	for _, f := range answer.Data.Files {
		require.Equal(t, "/uploads/"+f.ID.String(), f.URL)
		by[f.Filename], size = f, size+f.Size
	}
	require.Equal(t, size, answer.Data.Summary.TotalSize)
	for name, want := range map[string]struct{ kind, text, meta string }{
		"small.txt":   {"text/plain", "Hello UAOL text file.\nSecond line: 42.\n", `{"type":"document"}`},
		"small.csv":   {"text/csv", "a,b\n1,2\n3,4\n", `{"type":"document","rowCount":3,"columnCount":2}`},
		"small.json":  {"application/json", `{"k":[1,2,{"x":true}]}`, `{"type":"data"}`},
		"letter.docx": {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "Quarterly report\n\nThe office staff filed the first offer.", `{"type":"document"}`},
		"book.xlsx":   {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "Sheet: Sales\nMerged title\t\tSum\n2024-02-29\t2\t42\n\nSheet: 日本\n東京\t13.5\n\n", `{"type":"document","rowCount":3,"columnCount":3}`},
		"show.pdf":    {"application/pdf", "Our plan\nFirst point\nSecond point\n\nLes chiffres\nun 1\ndeux 2", `{"type":"document","pages":2}`},
		"notes.md":    {"text/markdown", "# Title\n\nWords.\n", `{"type":"document"}`},
		"data.xml":    {"text/xml", `<?xml version="1.0"?><a>b</a>`, `{"type":"data"}`},
	} {
		f := by[name]
		require.Equal(t, want.kind, f.Type, name)
		require.NotNil(t, f.Text, name)
		require.True(t, strings.HasPrefix(*f.Text, want.text), "%s: %q", name, *f.Text)
		meta, err := json.Marshal(f.Metadata)
		require.NoError(t, err)
		require.JSONEq(t, want.meta, string(meta), name)
	}
	require.Equal(t, "image", by["tiny.png"].Metadata.Type)
	require.Nil(t, by["tiny.png"].Text)
	require.Empty(t, *by["empty.txt"].Text)
	require.Equal(t, []string{"the file is empty"}, by["empty.txt"].Metadata.Warnings)

	// The URLs are their owner's, not the world's.
	require.Equal(t, 200, b.ask(t, guest, "GET", by["small.txt"].URL, nil, nil).StatusCode)
	require.Equal(t, 401, b.ask(t, services.Caller{}, "GET", by["small.txt"].URL, nil, nil).StatusCode)
	require.Equal(t, 404, b.ask(t, user(), "GET", by["small.txt"].URL, nil, nil).StatusCode)
}

// TestChatUploadWithoutWaiting: who prefers so is told at once that the reading goes on.
func TestChatUploadWithoutWaiting(t *testing.T) {
	t.Parallel()
	for preferred, want := range map[string]time.Duration{
		"": readWithin, "wait=0": 0, "respond-async, Wait=7": 7 * time.Second, "wait=3600": readWithin, "wait=-1": readWithin, "wait": readWithin, "wait=99999999999999999999": readWithin,
	} {
		require.Equal(t, want, patience(preferred), preferred)
	}
	b, owner := setup(t), user() // without a reader
	header, body := documentsForm(t, sent{"a.txt", "text/plain", "words"})
	header.Set("Prefer", "wait=0")
	began := time.Now()
	response := b.ask(t, owner, "POST", "/chat/upload", header, body)
	require.Contains(t, text(t, response), `"metadata":{"type":"document","status":"waiting"}`)
	require.Less(t, time.Since(began), readWithin/2)
}

// TestChatUploadRefuses: what can't be taken is said, with a 4xx, and nothing of the
// request is kept.
func TestChatUploadRefuses(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	good := sent{"a.txt", "text/plain", "fine"}
	for name, test := range map[string]struct {
		files         []sent
		status        int
		code, message string
	}{
		"a type":      {[]sent{good, {"x.bin", "application/pdf", "\x00\x01\x02\x03"}}, 415, "UNSUPPORTED_MEDIA_TYPE", "File type application/octet-stream not allowed"},
		"a program":   {[]sent{{"x.txt", "text/plain", "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"}}, 415, "UNSUPPORTED_MEDIA_TYPE", "File type application/x-elf not allowed"},
		"a field":     {[]sent{good, {"x.txt", "wrong field", "hi"}}, 400, "VALIDATION_ERROR", "Unexpected field"},
		"no files":    {nil, 400, "VALIDATION_ERROR", "At least one file is required"},
		"eleven":      {append(make([]sent, 0), good, good, good, good, good, good, good, good, good, good, good), 400, "VALIDATION_ERROR", "body.files: must be at most 10 files"},
		"a large one": {[]sent{good, {"l.txt", "text/plain", strings.Repeat("large ", 21<<20/6)}}, 413, "PAYLOAD_TOO_LARGE", "The file is larger than 20 MB"},
		"a name":      {[]sent{good, {strings.Repeat("x", 256), "text/plain", "x"}}, 400, "VALIDATION_ERROR", "body.files[1].filename: must have at most 255 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			header, body := documentsForm(t, test.files...)
			var got answer
			require.NoError(t, json.Unmarshal([]byte(text(t, b.ask(t, owner, "POST", "/chat/upload", header, body))), &got))
			require.Equal(t, test.code, got.Error.Code)
			require.Equal(t, test.message, got.Error.Message)
			require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.files`))
			require.Empty(t, b.blobs(t))
			b.whole(t)
		})
	}
	for name, body := range map[string]string{"JSON": `{"a":1}`, "nothing": ``} {
		got := b.do(t, owner, "POST", "/chat/upload", body)
		require.Equal(t, 400, got.Status, name)
		require.Equal(t, "At least one file is required", got.Error.Message)
	}
	header, body := documentsForm(t, good, good)
	response := b.ask(t, owner, "POST", "/chat/upload", header, io.LimitReader(body, int64(body.Len()-30)))
	require.Equal(t, 400, response.StatusCode, "cut short")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.files`))
	require.Equal(t, 401, b.ask(t, services.Caller{}, "POST", "/chat/upload", nil, strings.NewReader("")).StatusCode)
}

// TestChatUploadAgain: the same request with its key is the same files, and what goes
// wrong with a repeated one takes nothing away.
func TestChatUploadAgain(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	b.reads(t)
	send := func(cut int) (int, string) {
		header, body := documentsForm(t, sent{"a.txt", "text/plain", "one"}, sent{"b.txt", "text/plain", "two"})
		header.Set("Idempotency-Key", "k")
		response := b.ask(t, owner, "POST", "/chat/upload", header, io.LimitReader(body, int64(body.Len()-cut)))
		all, _, _ := strings.Cut(text(t, response), `,"timestamp"`)
		return response.StatusCode, all
	}
	status, first := send(0)
	require.Equal(t, 200, status, first)
	status, _ = send(30)
	require.Equal(t, 400, status)
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_storage.files`), "what was there stays")
	status, again := send(0)
	require.Equal(t, 200, status)
	require.Equal(t, first, again)
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_storage.files`))
}

const handbook = `# Handbook

Welcome to the company.

## Holidays

Everybody has thirty days of paid leave in a year. Unused days expire in March.

## Travel

Trains are booked in second class. Flights need the approval of a manager.
`

// lengthy is a document of so many paragraphs about nothing that is asked for.
func lengthy(paragraphs int) string {
	var b strings.Builder
	for i := range paragraphs {
		fmt.Fprintf(&b, "## Section %d\n\n%s\n\n", i, strings.Repeat(fmt.Sprintf("Filler sentence number %d says little. ", i), 12))
	}
	return b.String()
}

// TestSearch: passages are found by their words, in all their forms, in the caller's own
// documents alone.
func TestSearch(t *testing.T) {
	t.Parallel()
	b, ada, bob := setup(t), user(), user()
	b.reads(t)
	book, _ := b.read(t, ada, "handbook.md", handbook+lengthy(30))
	pdf, _ := b.read(t, ada, "show.pdf", sample(t, "show.pdf"))
	sheet, _ := b.read(t, ada, "book.xlsx", sample(t, "book.xlsx"))
	b.read(t, bob, "bobs.md", handbook+strings.ReplaceAll(lengthy(150), "Filler", "Days of paid leave")) // more than are ranked
	search := func(caller services.Caller, body string) (found []library.Passage) {
		got := b.do(t, caller, "POST", "/documents/search", body)
		require.Equal(t, 200, got.Status, got.Text)
		require.NoError(t, json.Unmarshal(got.Data, &found))
		return found
	}
	found := search(ada, `{"query":"How many days of leave does everyone have?"}`)
	require.NotEmpty(t, found)
	require.Equal(t, book.ID, found[0].File)
	require.Equal(t, "handbook.md", found[0].Filename)
	require.Equal(t, []string{"Handbook", "Holidays"}, found[0].Heading)
	require.Contains(t, found[0].Text, "thirty days")
	found = search(ada, `{"query":"booking a flight","limit":1}`)
	require.Len(t, found, 1)
	require.Contains(t, found[0].Text, "Flights need")
	found = search(ada, `{"query":"chiffre deux"}`)
	require.Equal(t, pdf.ID, found[0].File)
	require.Equal(t, 2, found[0].Page)
	found = search(ada, `{"query":"東京"}`)
	require.Equal(t, sheet.ID, found[0].File)
	require.Equal(t, "日本", found[0].Sheet)
	for _, p := range search(ada, `{"query":"leave","limit":50}`) {
		require.Equal(t, book.ID, p.File, "nobody else's")
	}
	require.Empty(t, search(ada, `{"query":"leave","fileIds":["`+pdf.ID.String()+`"]}`), "only where it was asked")
	require.Empty(t, search(ada, `{"query":"zyzzyva"}`))
	require.Empty(t, search(ada, `{"query":"???"}`))
	require.Empty(t, search(user(), `{"query":"leave"}`))

	for body, status := range map[string]int{
		`{"query":"leave","fileIds":["` + book.ID.String() + `"]}`: 404, // Ada's
		`{}`: 400, `{"query":""}`: 400, `{"query":"x","limit":51}`: 400, `{"query":"x","fileIds":["7"]}`: 400,
	} {
		require.Equal(t, status, b.do(t, bob, "POST", "/documents/search", body).Status, body)
	}
	require.Equal(t, 200, b.do(t, ada, "DELETE", "/storage/files/"+book.ID.String(), "").Status)
	require.Empty(t, search(ada, `{"query":"leave"}`), "what is removed is not found")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.passages WHERE content_id = $1`, book.Content))
}

// TestPassages: what a document says comes in the order of reading, from a page or a passage
// on, a part at a time.
func TestPassages(t *testing.T) {
	t.Parallel()
	b, ada, bob := setup(t), user(), user()
	b.reads(t)
	book, _ := b.read(t, ada, "handbook.md", handbook+lengthy(30))
	slides, _ := b.read(t, ada, "show.pptx", sample(t, "show.pptx"))
	list := func(of File, query string) (found []library.Passage, next string) {
		got := b.do(t, ada, "GET", "/documents/"+of.ID.String()+"/passages?"+query, "")
		require.Equal(t, 200, got.Status, got.Text)
		var page struct {
			Data []library.Passage `json:"data"`
			Next string            `json:"nextCursor"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.Text), &page))
		return page.Data, page.Next
	}
	var all []library.Passage
	for next, first := "", true; first || next != ""; first = false {
		var some []library.Passage
		some, next = list(book, "limit=7&cursor="+next)
		require.True(t, len(some) == 7 || next == "", "a page is full unless it is the last")
		all = append(all, some...)
	}
	require.Greater(t, len(all), 14)
	for i, p := range all {
		require.Equal(t, i, p.Ordinal)
		require.Equal(t, book.ID, p.File)
	}
	require.Contains(t, all[0].Text, "Welcome to the company")
	require.Contains(t, all[len(all)-1].Text, "number 29")
	from, _ := list(book, "from=12&limit=1")
	require.Equal(t, all[12:13], from)

	second, next := list(slides, "page=2")
	require.Empty(t, next)
	require.NotEmpty(t, second)
	for _, p := range second {
		require.Equal(t, 2, p.Page)
	}
	whole, _ := list(slides, "")
	require.Equal(t, 1, whole[0].Page)
	beyond, _ := list(slides, "page=99")
	require.Equal(t, whole, beyond, "there is no such page")
	late, _ := list(slides, "page=1&from="+strconv.Itoa(len(whole)-1))
	require.Len(t, late, 1)

	picture := b.upload(t, ada, "no.bin", "\x00\x01\x02")
	for path, status := range map[string]int{
		"/documents/" + picture.ID.String() + "/passages":              404,
		"/documents/" + uuid.NewString() + "/passages":                 404,
		"/documents/" + book.ID.String() + "/passages?page=0":          400,
		"/documents/" + book.ID.String() + "/passages?from=-1":         400,
		"/documents/" + book.ID.String() + "/passages?cursor=nonsense": 400,
	} {
		require.Equal(t, status, b.do(t, ada, "GET", path, "").Status, path)
	}
	require.Equal(t, 404, b.do(t, bob, "GET", "/documents/"+book.ID.String()+"/passages", "").Status, "not his")

	later, carol := setup(t), user()
	waits := later.upload(t, carol, "later.md", handbook)
	got := later.do(t, carol, "GET", "/documents/"+waits.ID.String()+"/passages", "")
	require.Equal(t, 200, got.Status)
	require.JSONEq(t, `{"success":true,"data":[]}`, got.Text, "it is not read yet")
}

// TestDocument: what is known of a file as a document, its text, and how it is read.
func TestDocument(t *testing.T) {
	t.Parallel()
	b, ada, bob := setup(t), user(), user()
	waits := b.upload(t, ada, "later.md", handbook)
	got := b.do(t, ada, "GET", "/documents/"+waits.ID.String(), "")
	require.Equal(t, 200, got.Status)
	require.Contains(t, got.Text, `"status":"waiting"`)
	server := httptest.NewServer(b.engine)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/documents/"+waits.ID.String()+"/events", nil)
	require.NoError(t, err)
	who, err := json.Marshal(ada)
	require.NoError(t, err)
	request.Header.Set("X-API-Key", string(who))
	stream, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer stream.Body.Close()
	require.Equal(t, "text/event-stream", stream.Header.Get("Content-Type"))
	events := bufio.NewReader(stream.Body)
	_, _ = events.ReadString('\n')
	first, err := events.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, first, `"status":"waiting"`)
	b.reads(t)
	rest, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Contains(t, string(rest[bytes.LastIndex(rest, []byte("event: document")):]), `"status":"read"`)
	response := b.ask(t, ada, "GET", "/documents/"+waits.ID.String()+"/text", nil, nil)
	require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, handbook, text(t, response))

	_, d := b.read(t, ada, "locked.pdf", string(encryptedPDF(t)))
	require.Equal(t, library.Failed, d.Status)
	require.Equal(t, documents.CodeEncrypted, d.Error.Code)
	_, d = b.read(t, ada, "cut.pdf", sample(t, "letter.pdf")[:9000])
	require.Equal(t, library.Failed, d.Status)
	require.Equal(t, documents.CodeBroken, d.Error.Code)
	_, d = b.read(t, ada, "show.pptx", sample(t, "show.pptx"))
	require.Equal(t, 2, d.Pages)

	other := b.upload(t, ada, "song.mp3", "ID3\x04\x00\x00\x00\x00\x00\x00")
	require.Contains(t, b.do(t, ada, "GET", "/documents/"+other.ID.String(), "").Error.Message, "No text is read from this file")
	for _, path := range []string{"", "/text", "/events"} {
		require.Equal(t, 404, b.ask(t, bob, "GET", "/documents/"+waits.ID.String()+path, nil, nil).StatusCode, path)
		require.Equal(t, 401, b.ask(t, services.Caller{}, "GET", "/documents/"+waits.ID.String()+path, nil, nil).StatusCode, path)
		require.Equal(t, 400, b.ask(t, ada, "GET", "/documents/7"+path, nil, nil).StatusCode, path)
	}
	require.Equal(t, 404, b.do(t, bob, "POST", "/documents/"+waits.ID.String()+"/read", "").Status)
	got = b.do(t, ada, "POST", "/documents/"+waits.ID.String()+"/read", "")
	require.Equal(t, 200, got.Status)
	b.read(t, ada, "later.md", handbook)
	require.EqualValues(t, 3, b.number(t, `SELECT passages FROM uaol_storage.documents WHERE content_id = $1`, waits.Content), "read again, and there once")
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_storage.passages WHERE content_id = $1`, waits.Content))
}

func encryptedPDF(t testing.TB) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("documents", "testdata", "encrypted.pdf"))
	require.NoError(t, err)
	return content
}

// TestReadersDie: a document whose reader has died is read by another; one that ends
// every reader is left; and what a reader brings that was thought dead is not taken.
func TestReadersDie(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	f := b.upload(t, ada, "a.md", handbook)
	poison := b.upload(t, ada, "b.md", "poison")
	fresh := b.upload(t, ada, "c.md", "held by a reader that lives")
	b.exec(t, `UPDATE uaol_storage.documents SET status = 'reading', attempts = 1, claim = gen_random_uuid(), lease_until = now() - interval '1 second' WHERE content_id = $1`, f.Content)
	b.exec(t, `UPDATE uaol_storage.documents SET status = 'reading', attempts = 3, claim = gen_random_uuid(), lease_until = now() - interval '1 second' WHERE content_id = $1`, poison.Content)
	b.exec(t, `UPDATE uaol_storage.documents SET status = 'reading', attempts = 1, claim = gen_random_uuid(), lease_until = now() + interval '1 hour' WHERE content_id = $1`, fresh.Content)
	b.reads(t)
	_, d := b.read(t, ada, "a.md", handbook)
	require.Equal(t, library.Read, d.Status)
	_, d = b.read(t, ada, "b.md", "poison")
	require.Equal(t, library.Failed, d.Status)
	require.Contains(t, d.Error.Message, "the server ended 3 times")
	known, err := b.library.Get(t.Context(), ada, fresh.ID)
	require.NoError(t, err)
	require.Equal(t, library.Reading, known.Status, "its reader is left alone")
}

// TestReaderThatLostIsNotHeard: while a document is read another takes it over.
func TestReaderThatLostIsNotHeard(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	f := b.upload(t, ada, "a.md", handbook)
	steal := opened{Service: b.service, before: func() {
		b.exec(t, `UPDATE uaol_storage.documents SET claim = gen_random_uuid(), lease_until = now() + interval '1 hour' WHERE content_id = $1`, f.Content)
	}, done: make(chan struct{})}
	stop := b.readsFrom(t, steal)
	<-steal.done
	other := b.upload(t, ada, "next.md", "next")
	all, err := b.library.Await(t.Context(), []library.File{asDocument(other)}) // so that the first is through
	require.NoError(t, err)
	require.Equal(t, library.Read, all[0].Status)
	stop()
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.passages WHERE content_id = $1`, f.Content))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE content_id = $1 AND status = 'reading' AND content = ''`, f.Content))
}

// opened is contents that tell when the first is opened.
type opened struct {
	*Service
	before func()
	done   chan struct{}
}

func (s opened) Content(ctx context.Context, id uuid.UUID) (*blobs.Content, error) {
	select {
	case <-s.done:
	default:
		s.before()
		close(s.done)
	}
	return s.Service.Content(ctx, id)
}

// TestDeletionWhileStored: a file that is removed while what it says is being stored waits
// for no more than a part of it, and nothing of it is left.
func TestDeletionWhileStored(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	for i := range 4 {
		f := b.upload(t, ada, "large.md", lengthy(6000)+fmt.Sprint(i))
		require.Eventually(t, func() bool {
			return b.number(t, `SELECT count(*) FROM uaol_storage.passages WHERE content_id = $1`, f.Content) > 0
		}, time.Minute, 2*time.Millisecond)
		require.Equal(t, "reading", b.status(t, f), "it is still being stored")
		require.NoError(t, b.service.Delete(t.Context(), ada, f.ID))
		require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE content_id = $1`, f.Content))
	}
	_, d := b.read(t, ada, "next.md", handbook)
	require.Equal(t, library.Read, d.Status)
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.passages p WHERE NOT EXISTS (SELECT 1 FROM uaol_storage.documents d WHERE d.content_id = p.content_id)`))
}

func (b *bench) status(t testing.TB, f File) (status string) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT status FROM uaol_storage.documents WHERE content_id = $1`, f.Content).Scan(&status))
	return status
}

// TestReaderEnds: a process that is told to end gives its document back at once.
func TestReaderEnds(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	contents := opened{Service: b.service, before: func() {}, done: make(chan struct{})}
	b.upload(t, ada, "large.md", lengthy(20000))
	stop := b.readsFrom(t, contents)
	<-contents.done
	stop()
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE status = 'reading' OR attempts > 1`))
}

// TestUnreachableContents: a store that is out of reach is nobody's fault.
func TestUnreachableContents(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	f := b.upload(t, ada, "a.md", handbook)
	path := filepath.Join(b.dir, f.Content.String())
	require.NoError(t, os.Chmod(path, 0))
	if _, err := os.ReadFile(path); err == nil {
		require.NoError(t, os.Rename(path, path+".away")) // root reads anything
		require.NoError(t, os.Mkdir(path, 0o700))
	}
	b.reads(t)
	require.Eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE status = 'reading' AND attempts = 0`) == 1
	}, time.Minute, 5*time.Millisecond)
	if err := os.Remove(path); err == nil {
		require.NoError(t, os.Rename(path+".away", path))
	}
	_ = os.Chmod(path, 0o600)
	b.exec(t, `UPDATE uaol_storage.documents SET lease_until = now()`)
	_, d := b.read(t, ada, "a.md", handbook)
	require.Equal(t, library.Read, d.Status)
}

// TestLibrary runs the interface's contract over both of its bodies.
func TestLibrary(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		libraryContract(t, b, b.library)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, b.routes()...)}, peerstest.Tokens(t))
		require.NoError(t, err)
		libraryContract(t, b, client)
	})
}

func libraryContract(t *testing.T, b *bench, of library.Library) {
	ada := user()
	b.reads(t)
	small := b.upload(t, ada, "handbook.md", handbook) // it is waited for
	large, _ := b.read(t, ada, "large.md", lengthy(100)+"## Canteen\n\nLunch is served at noon.\n")
	broken, _ := b.read(t, ada, "broken.pdf", sample(t, "letter.pdf")[:9000])
	song := b.upload(t, ada, "song.mp3", "ID3\x04\x00\x00\x00\x00\x00\x00")
	consult := func(caller services.Caller, bytes int, files ...uuid.UUID) (library.Consulted, error) {
		return of.Consult(t.Context(), library.ConsultRequest{Caller: caller, Files: files, Question: "When is lunch served?", Bytes: bytes})
	}
	got, err := consult(ada, 8000, large.ID, small.ID, broken.ID, song.ID, small.ID)
	require.NoError(t, err)
	require.Len(t, got.Files, 4)
	require.False(t, got.Files[0].Whole)
	require.True(t, got.Files[1].Whole)
	require.Equal(t, library.Failed, got.Files[2].Status)
	require.Contains(t, got.Files[2].Error, "damaged")
	require.Contains(t, got.Files[3].Error, "No text is read")
	require.Equal(t, large.ID, got.Passages[0].File)
	size, text := 0, ""
	for _, p := range got.Passages {
		size, text = size+len(p.Text), text+p.Text+"\n"
	}
	require.LessOrEqual(t, size, 8000)
	require.Contains(t, text, "Lunch is served at noon.")
	require.Contains(t, text, "Welcome to the company.\n", "the small one is there as a whole")
	require.Contains(t, text, "second class. Flights")
	require.NotContains(t, text, "Filler sentence number 7 ")
	last := got.Passages[len(got.Passages)-1]
	require.Equal(t, []string{"Handbook", "Travel"}, last.Heading)

	_, err = consult(user(), 8000, small.ID)
	require.True(t, services.Is(err, services.NotFound), err)
	_, err = consult(ada, 8000, small.ID, uuid.New())
	require.True(t, services.Is(err, services.NotFound), err)
	got, err = consult(ada, 8000)
	require.NoError(t, err)
	require.Empty(t, got.Passages)
	got, err = consult(ada, 1<<20, large.ID)
	require.NoError(t, err)
	require.True(t, got.Files[0].Whole)
	require.Len(t, got.Passages, int(b.number(t, `SELECT passages FROM uaol_storage.documents WHERE content_id = $1`, large.Content)))
	_, err = consult(ada, 1, make([]uuid.UUID, library.MostFiles+1)...)
	require.True(t, services.Is(err, services.Invalid), err)
}
