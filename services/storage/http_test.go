package storage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/blobs"
	"uaol/providers/blobs/blobstest"
	"uaol/providers/blobs/s3"
	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/billing"
)

// ask makes a request with headers and gives the answer as it came.
func (b *bench) ask(t testing.TB, caller services.Caller, method, path string, header http.Header, body io.Reader) *http.Response {
	t.Helper()
	request := httptest.NewRequest(method, path, body)
	for name, values := range header {
		request.Header[name] = values
	}
	if caller.Known() {
		text, err := json.Marshal(caller)
		require.NoError(t, err)
		request.Header.Set("X-API-Key", string(text))
	}
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, request)
	return recorder.Result()
}

func text(t testing.TB, response *http.Response) string {
	t.Helper()
	all, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(all)
}

// form is a multipart body with a file.
func form(t testing.TB, field, name, contentType, content string) (http.Header, io.Reader) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	require.NoError(t, w.WriteField("note", "comes first"))
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, field, name)}, "Content-Type": {contentType}})
	require.NoError(t, err)
	_, _ = io.WriteString(part, content)
	require.NoError(t, w.Close())
	return http.Header{"Content-Type": {w.FormDataContentType()}}, &b
}

const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"

func TestFormUpload(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	header, body := form(t, "file", "a picture.png", "text/html", png)
	header.Set("Idempotency-Key", "1")
	response := b.ask(t, owner, "POST", "/storage/upload", header, body)
	answer := text(t, response)
	require.Equal(t, 200, response.StatusCode, answer)
	require.Contains(t, answer, `"contentType":"image/png"`)
	header, body = form(t, "file", "a picture.png", "text/html", png)
	header.Set("Idempotency-Key", "1")
	require.Equal(t, answer, text(t, b.ask(t, owner, "POST", "/storage/upload", header, body)))
	require.Len(t, b.blobs(t), 1)

	header, body = form(t, "other", "x", "text/plain", "x")
	response = b.ask(t, owner, "POST", "/storage/upload", header, body)
	require.Equal(t, 400, response.StatusCode)
	require.Contains(t, text(t, response), "A form with a file as file is required")
	header, body = form(t, "file", "x", "text/plain", strings.Repeat("x", 1000))
	response = b.ask(t, owner, "POST", "/storage/upload", header, io.LimitReader(body, 700))
	require.Equal(t, 400, response.StatusCode, "cut short")
	require.Len(t, b.blobs(t), 1)
	b.whole(t)
}

// TestWhoMayFetch: its owner, and who has a signed URL for that; not the world, not
// somebody else, and not for longer or otherwise than it was signed.
func TestWhoMayFetch(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	f := b.upload(t, owner, "a.txt", "my words")
	another := b.upload(t, owner, "b.txt", "other words")
	scoped, guest := owner, owner
	scoped.Scopes, guest.Role = "jobs:read", services.RoleGuest
	for name, test := range map[string]struct {
		caller services.Caller
		want   int
	}{"owner": {owner, 200}, "guest": {guest, 200}, "nobody": {services.Caller{}, 401}, "somebody else": {user(), 404}, "a key for other things": {scoped, 403}} {
		response := b.ask(t, test.caller, "GET", f.URL, nil, nil)
		require.Equal(t, test.want, response.StatusCode, name)
		require.Equal(t, test.want == 200, strings.Contains(text(t, response), "my words"))
	}
	require.Equal(t, 400, b.ask(t, owner, "GET", "/uploads/7", nil, nil).StatusCode)
	require.Equal(t, 404, b.ask(t, owner, "GET", pathOf(uuid.New()), nil, nil).StatusCode)

	got := b.do(t, owner, "GET", "/storage/files/"+f.ID.String()+"/url?expiresIn=60", "")
	var made fetchableBody
	require.NoError(t, json.Unmarshal(got.Data, &made), got.Text)
	require.Equal(t, 404, b.do(t, user(), "GET", "/storage/files/"+f.ID.String()+"/url", "").Status)
	for _, method := range []string{"GET", "HEAD"} {
		response := b.ask(t, services.Caller{}, method, made.URL, nil, nil)
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, "8", response.Header.Get("Content-Length"))
	}
	require.True(t, strings.HasPrefix(made.URL, "http://example.com/uploads/"), made.URL)
	signed, err := url.Parse(made.URL)
	require.NoError(t, err)
	change := func(name, value string) string {
		query := signed.Query()
		query.Set(name, value)
		return signed.Path + "?" + query.Encode()
	}
	for name, path := range map[string]string{
		"for longer":      change("expires", fmt.Sprint(time.Now().Add(time.Hour).Unix())),
		"another word":    change("signature", "AAAA"),
		"another file":    strings.Replace(made.URL, f.ID.String(), another.ID.String(), 1),
		"over":            b.service.signer.path("GET", f.ID, time.Now().Add(-time.Second)),
		"to put":          b.service.signer.path("PUT", f.ID, time.Now().Add(time.Hour)),
		"without its end": signed.Path + "?signature=" + signed.Query().Get("signature"),
	} {
		require.Equal(t, 403, b.ask(t, owner, "GET", path, nil, nil).StatusCode, name)
	}
	require.Equal(t, 403, b.ask(t, services.Caller{}, "PUT", made.URL, http.Header{"Content-Type": {"text/plain"}}, strings.NewReader("x")).StatusCode)

	// The secret's successor takes what was signed before it.
	both := newSigner(ring(t, keyring.Config{Secret: secondSecret, Previous: firstSecret}))
	require.NoError(t, both.check("GET", f.ID, signed.Query(), time.Now()))
	require.Error(t, newSigner(ring(t, keyring.Config{Secret: secondSecret})).check("GET", f.ID, signed.Query(), time.Now()))
}

// TestServed: a browser runs nothing that somebody has uploaded.
func TestServed(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	for name, test := range map[string]struct{ content, contentType, disposition string }{
		"page.html":         {"<html><script>alert(1)</script></html>", "text/html; charset=utf-8", `attachment; filename=page.html`},
		"drawing.svg":       {`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "image/svg+xml", `attachment; filename=drawing.svg`},
		"a page.png":        {"<!DOCTYPE html><script>alert(1)</script>", "text/html; charset=utf-8", `attachment; filename="a page.png"`},
		"picture.html":      {png, "image/png", `inline; filename=picture.html`},
		"notes.txt":         {"words", "text/plain; charset=utf-8", `inline; filename=notes.txt`},
		"table.csv":         {"a,b\n1,2\n", "text/csv", `attachment; filename=table.csv`},
		"x.pdf":             {"%PDF-1.4\n", "application/pdf", `attachment; filename=x.pdf`},
		"empty":             {"", "text/plain", `inline; filename=empty`},
		"../../etc/passwd":  {"words", "text/plain; charset=utf-8", `inline; filename=passwd`},
		"C:\\temp\\été.txt": {"words", "text/plain; charset=utf-8", `inline; filename*=utf-8''%C3%A9t%C3%A9.txt`},
		"a\"b;c.txt":        {"words", "text/plain; charset=utf-8", `inline; filename="a\"b;c.txt"`},
	} {
		f := b.upload(t, owner, name, test.content)
		response := b.ask(t, owner, "GET", f.URL, nil, nil)
		require.Equal(t, test.content, text(t, response), name)
		require.Equal(t, test.contentType, response.Header.Get("Content-Type"), name)
		require.Equal(t, test.disposition, response.Header.Get("Content-Disposition"), name)
		require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "sandbox; default-src 'none'", response.Header.Get("Content-Security-Policy"))
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	content := strings.Repeat("0123456789", 20_000)
	f := b.upload(t, owner, "a.txt", content)
	for ranges, want := range map[string]string{"bytes=0-4": content[:5], "bytes=65530-65545": content[65530:65546], "bytes=-7": content[len(content)-7:], "bytes=199990-": content[199990:]} {
		response := b.ask(t, owner, "GET", f.URL, http.Header{"Range": {ranges}}, nil)
		require.Equal(t, http.StatusPartialContent, response.StatusCode)
		require.Equal(t, want, text(t, response))
	}
	response := b.ask(t, owner, "GET", f.URL, http.Header{"Range": {"bytes=200000-"}}, nil)
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, response.StatusCode)
	response = b.ask(t, owner, "GET", f.URL, http.Header{"If-None-Match": {`"` + f.SHA256 + `"`}}, nil)
	require.Equal(t, http.StatusNotModified, response.StatusCode)
}

func TestRename(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	f := b.upload(t, owner, "a.txt", "x")
	path := "/storage/files/" + f.ID.String()
	require.Equal(t, 200, b.do(t, owner, "PUT", path, `{"filename":"b.txt"}`).Status)
	require.Contains(t, b.do(t, owner, "GET", path, "").Text, `"filename":"b.txt"`)
	require.Equal(t, 404, b.do(t, user(), "PUT", path, `{"filename":"c.txt"}`).Status)
	require.Equal(t, 400, b.do(t, owner, "PUT", path, `{"filename":""}`).Status)
}

func (b *bench) presigned(t testing.TB, caller services.Caller, query string) Presigned {
	t.Helper()
	got := b.do(t, caller, "GET", "/storage/presigned-url?"+query, "")
	require.Equal(t, 200, got.Status, got.Text)
	var made Presigned
	require.NoError(t, json.Unmarshal(got.Data, &made))
	return made
}

// TestPresignedPut: a URL of ours takes one file of its type and size.
func TestPresignedPut(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	made := b.presigned(t, owner, "filename=a.txt&contentType=text/plain&size=5")
	require.EqualValues(t, 3600, made.ExpiresIn)
	put := func(url, contentType, body string) *http.Response {
		return b.ask(t, services.Caller{}, "PUT", url, http.Header{"Content-Type": {contentType}}, strings.NewReader(body))
	}
	for name, attempt := range map[string]struct {
		url, contentType, body string
		want                   int
	}{
		"another type":       {made.URL, "text/html", "hello", 415},
		"no type":            {made.URL, "", "hello", 415},
		"longer":             {made.URL, "text/plain", "hello there", 400},
		"shorter":            {made.URL, "text/plain", "hi", 400},
		"another content":    {b.presigned(t, owner, "filename=a.png&contentType=image/png").URL, "image/png", "<html><script>", 415},
		"markup as text":     {b.presigned(t, owner, "filename=a.txt&contentType=text/html").URL, "text/html", "words", 415},
		"tampered":           {made.URL[:len(made.URL)-2] + "AA", "text/plain", "hello", 403},
		"expired":            {b.service.signer.path("PUT", made.ID, time.Now()), "text/plain", "hello", 403},
		"without a ticket":   {b.service.signer.path("PUT", uuid.New(), time.Now().Add(time.Hour)), "text/plain", "hello", 404},
		"without its ending": {pathOf(made.ID), "text/plain", "hello", 403},
	} {
		response := put(attempt.url, attempt.contentType, attempt.body)
		require.Equal(t, attempt.want, response.StatusCode, "%s: %s", name, text(t, response))
	}
	require.Empty(t, b.blobs(t))
	require.Equal(t, 404, b.do(t, owner, "GET", "/storage/files/"+made.ID.String(), "").Status, "there is no file yet")

	response := put(made.URL, "text/plain", "hello")
	require.Equal(t, 200, response.StatusCode, text(t, response))
	f, err := b.service.Get(t.Context(), owner, made.ID)
	require.NoError(t, err)
	require.Equal(t, "hello", b.fetch(t, f))
	require.Equal(t, 404, put(made.URL, "text/plain", "jello").StatusCode, "it was used")
	b.whole(t)

	for query, want := range map[string]string{
		"": "Filename is required", "filename=x&contentType=text": "query.contentType: must be a content type such as image/png",
		"filename=x&expiresIn=0": "query.expiresIn", "filename=x&expiresIn=604801": "query.expiresIn", "filename=x&size=x": "query.size",
	} {
		got := b.do(t, owner, "GET", "/storage/presigned-url?"+query, "")
		require.Equal(t, 400, got.Status, query)
		require.Contains(t, got.Error.Message, want)
	}
	require.Equal(t, 413, b.do(t, owner, "GET", "/storage/presigned-url?filename=x&size=20971521", "").Status)
	b.plans.set(billing.Plan{Storage: 5})
	require.Equal(t, 403, b.do(t, owner, "GET", "/storage/presigned-url?filename=x", "").Status)
}

// onS3 is a bench whose files are in a real S3 server.
func onS3(t *testing.T) *bench {
	t.Helper()
	cfg := blobstest.Versity(t)
	bucket, err := s3.New(t.Context(), cfg, t.TempDir())
	require.NoError(t, err)
	return setupOn(t, blobs.NewShelf(inS3, bucket))
}

// TestOnS3: the same over a store of others, to which clients upload by themselves.
func TestOnS3(t *testing.T) {
	t.Parallel()
	b, owner := onS3(t), user()
	f := b.upload(t, owner, "a.txt", "through us")
	require.Equal(t, "through us", b.fetch(t, f))
	response := b.ask(t, owner, "GET", f.URL, http.Header{"Range": {"bytes=8-"}}, nil)
	require.Equal(t, "us", text(t, response))
	fetch := func(url string) string {
		response, err := http.Get(url)
		require.NoError(t, err)
		defer response.Body.Close()
		return text(t, response)
	}
	direct, err := b.service.Fetchable(t.Context(), owner, f.ID, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "through us", fetch(direct))

	send := func(made Presigned, body string) int {
		request, err := http.NewRequestWithContext(t.Context(), "PUT", made.URL, strings.NewReader(body))
		require.NoError(t, err)
		for name, value := range made.Headers {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	made := b.presigned(t, owner, "filename=b.txt&contentType=text/plain&size=10")
	require.True(t, strings.HasPrefix(made.URL, "http://127.0.0.1"), made.URL)
	require.GreaterOrEqual(t, send(made, "more than ten"), 400)
	require.Equal(t, 404, b.do(t, owner, "GET", "/storage/files/"+made.ID.String(), "").Status)
	require.Equal(t, 200, send(made, "by oneself"))
	require.Equal(t, 404, b.do(t, user(), "GET", "/storage/files/"+made.ID.String(), "").Status)
	var group sync.WaitGroup
	for range 5 { // whoever asks first makes the file, and nobody takes its content away
		group.Go(func() {
			if _, err := b.service.Get(t.Context(), owner, made.ID); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	f, err = b.service.Get(t.Context(), owner, made.ID)
	require.NoError(t, err)
	require.Equal(t, "by oneself", b.fetch(t, f))
	b.whole(t)

	lies := b.presigned(t, owner, "filename=c.png&contentType=image/png&size=22")
	require.Equal(t, 200, send(lies, "<html><script></script>"[:22]))
	require.Equal(t, 415, b.do(t, owner, "GET", "/storage/files/"+lies.ID.String(), "").Status, "what it is said to be does not count")
	require.Equal(t, 404, b.do(t, owner, "GET", "/storage/files/"+lies.ID.String(), "").Status, "and it is gone")

	unsized := b.presigned(t, owner, "filename=d.txt&contentType=text/plain")
	require.True(t, strings.HasPrefix(unsized.URL, "http://example.com/uploads/"), "S3 can't hold a PUT to a limit")
	require.Equal(t, 200, b.ask(t, services.Caller{}, "PUT", unsized.URL, http.Header{"Content-Type": {"text/plain"}}, strings.NewReader("by us")).StatusCode)

	require.NoError(t, b.service.Erase(t.Context(), services.Person{Account: owner.Account, Organizations: []uuid.UUID{owner.Organization}}))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.contents`))
	b.whole(t)
}
