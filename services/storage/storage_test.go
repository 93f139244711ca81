package storage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/blobs"
	"uaol/providers/config"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is what a test of this package works with.
type bench struct {
	pool    *pgxpool.Pool
	dir     string // of the blobs
	service *Service
	engine  *gin.Engine
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t)}
	data := t.TempDir()
	b.dir = filepath.Join(data, "files")
	store := blobs.New(config.Process{DataDir: data})
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	b.service = NewService(NewRepository(b.pool), store)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	api.Mount(b.engine, api.Guards{Authenticator: header{}}, false, NewHandler(b.service).operations()...)
	return b
}

// header takes a Caller as JSON from X-API-Key.
type header struct{}

func (header) Authenticate(_ context.Context, c services.Credentials) (caller services.Caller, _ string, err error) {
	if c.APIKey == "" {
		return caller, "", nil
	}
	return caller, "", json.Unmarshal([]byte(c.APIKey), &caller)
}

func user() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
}

type answer struct {
	Status     int
	Text       string
	Data       json.RawMessage
	NextCursor string
	Error      struct{ Code, Message string }
}

func (b *bench) do(t testing.TB, caller services.Caller, method, path, body string) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if caller.Known() {
		text, err := json.Marshal(caller)
		require.NoError(t, err)
		request.Header.Set("X-API-Key", string(text))
	}
	recorder := httptest.NewRecorder()
	b.engine.ServeHTTP(recorder, request)
	a := answer{Status: recorder.Code, Text: recorder.Body.String()}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a), a.Text)
	return a
}

func (b *bench) upload(t testing.TB, caller services.Caller, name, content string) File {
	t.Helper()
	f, err := b.service.Upload(t.Context(), caller, name, "text/plain", []byte(content))
	require.NoError(t, err)
	return f
}

func (b *bench) blobs(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(b.dir)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestUpload(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	got := b.do(t, owner, "POST", "/storage/upload", `{"filename":"../../etc/passwd","contentType":"text/plain","data":"aGVsbG8="}`)
	require.Equal(t, http.StatusOK, got.Status, got.Text)
	var made uploadBody
	require.NoError(t, json.Unmarshal(got.Data, &made))
	require.Equal(t, "/storage/files/"+made.ID.String(), made.URL)
	require.Equal(t, []string{made.ID.String()}, b.blobs(t), "the name is data, never a path")
	content, err := os.ReadFile(filepath.Join(b.dir, made.ID.String()))
	require.NoError(t, err)
	require.Equal(t, "hello", string(content))

	got = b.do(t, owner, "GET", made.URL, "")
	require.Equal(t, http.StatusOK, got.Status)
	var f map[string]any
	require.NoError(t, json.Unmarshal(got.Data, &f))
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, f["createdAt"])
	delete(f, "createdAt")
	require.Equal(t, map[string]any{"fileId": made.ID.String(), "filename": "../../etc/passwd", "contentType": "text/plain",
		"size": 5.0, "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}, f)

	for name, test := range map[string]struct {
		body, message string
		status        int
	}{
		"nothing":     {``, "Filename and data are required", 400},
		"no data":     {`{"filename":"x"}`, "Filename and data are required", 400},
		"no name":     {`{"data":"aGVsbG8="}`, "Filename and data are required", 400},
		"empty name":  {`{"filename":"","data":"aGVsbG8="}`, "Filename and data are required", 400},
		"no content":  {`{"filename":"x","data":""}`, "", 400},
		"not base64":  {`{"filename":"x","data":"!!!"}`, "", 400},
		"a NUL":       {`{"filename":"x\u0000","data":"aGVsbG8="}`, "A text holds a character that cannot be stored", 400},
		"a long name": {`{"filename":"` + strings.Repeat("x", 256) + `","data":"aGVsbG8="}`, "", 400},
		"too large":   {`{"filename":"x","data":"` + strings.Repeat("A", maxUpload) + `"}`, "The body is larger than 15728640 bytes", 413},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, owner, "POST", "/storage/upload", test.body)
			require.Equal(t, test.status, got.Status, got.Text)
			if test.message != "" {
				require.Equal(t, test.message, got.Error.Message)
			}
		})
	}
	require.Len(t, b.blobs(t), 1, "what was refused left no content behind")

	large := base64.StdEncoding.EncodeToString(make([]byte, 3<<20))
	got = b.do(t, owner, "POST", "/storage/upload", `{"filename":"large","data":"`+large+`"}`)
	require.Equal(t, http.StatusOK, got.Status, "more than other routes take")
}

func TestOwnerOnly(t *testing.T) {
	t.Parallel()
	b, owner, other := setup(t), user(), user()
	colleague := user()
	colleague.Organization = owner.Organization
	root := user()
	root.Role = services.RoleAdmin
	f := b.upload(t, owner, "mine.txt", "secret")
	path := "/storage/files/" + f.ID.String()
	for _, caller := range []services.Caller{other, root} {
		for _, method := range []string{"GET", "DELETE"} {
			got := b.do(t, caller, method, path, "")
			require.Equal(t, http.StatusNotFound, got.Status, "another's file is not to be known of")
			require.Equal(t, "File not found", got.Error.Message)
		}
		require.JSONEq(t, `{"success":true,"data":[]}`, b.do(t, caller, "GET", "/storage/files", "").Text)
	}
	require.Equal(t, http.StatusUnauthorized, b.do(t, services.Caller{}, "GET", path, "").Status)
	require.Equal(t, http.StatusBadRequest, b.do(t, owner, "GET", "/storage/files/7", "").Status)
	require.Equal(t, http.StatusNotFound, b.do(t, owner, "GET", "/storage/files/"+uuid.NewString(), "").Status)
	require.Equal(t, http.StatusOK, b.do(t, colleague, "GET", path, "").Status, "a file is its organisation's")

	got := b.do(t, owner, "DELETE", path, "")
	require.Equal(t, http.StatusOK, got.Status)
	require.Empty(t, b.blobs(t))
	require.Equal(t, http.StatusNotFound, b.do(t, owner, "GET", path, "").Status)
	require.Equal(t, http.StatusNotFound, b.do(t, owner, "DELETE", path, "").Status)
}

func TestList(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	b.upload(t, user(), "another's", "")
	want := map[uuid.UUID]bool{}
	for i := range 9 {
		want[b.upload(t, owner, fmt.Sprint("f", i), "x").ID] = true
	}
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_storage.files SET created_at = date_trunc('minute', now()) + (right(filename, 1) < '4')::int * interval '1 microsecond'
		WHERE filename LIKE 'f%'`)
	require.NoError(t, err)
	for _, limit := range []int{1, 2, 9, 10} {
		seen, cursor := map[uuid.UUID]bool{}, ""
		for pages := 0; pages == 0 || cursor != ""; pages++ {
			require.Less(t, pages, 12)
			got := b.do(t, owner, "GET", fmt.Sprintf("/storage/files?limit=%d&cursor=%s", limit, cursor), "")
			var files []File
			require.NoError(t, json.Unmarshal(got.Data, &files), got.Text)
			for _, f := range files {
				require.False(t, seen[f.ID], "twice")
				seen[f.ID] = true
			}
			cursor = got.NextCursor
		}
		require.Equal(t, want, seen)
	}
}

// TestRowAndBlob: whatever fails, no row is left without its content.
func TestRowAndBlob(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	f := b.upload(t, owner, "kept", "x")
	require.NoError(t, os.Remove(filepath.Join(b.dir, f.ID.String())))
	require.NoError(t, b.service.Delete(t.Context(), owner, f.ID), "a content that is gone does not keep its row")

	_, err := b.pool.Exec(t.Context(), `ALTER TABLE uaol_storage.files ADD CONSTRAINT closed CHECK (filename <> 'refused')`)
	require.NoError(t, err)
	_, err = b.service.Upload(t.Context(), owner, "refused", "text/plain", []byte("x"))
	require.Error(t, err)
	require.Empty(t, b.blobs(t))

	kept := b.upload(t, owner, "kept", "x")
	b.pool.Close()
	_, err = b.service.Upload(t.Context(), owner, "unknown", "text/plain", []byte("x"))
	require.True(t, services.Is(err, services.Unavailable), err)
	require.Len(t, b.blobs(t), 2, "nobody knows whether its row is there, so the content stays")
	require.True(t, services.Is(b.service.Delete(t.Context(), owner, kept.ID), services.Unavailable))
	require.Len(t, b.blobs(t), 2)
}

func TestUploadsAtOnce(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := b.service.Upload(t.Context(), owner, "same name", "text/plain", []byte("x")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, b.blobs(t), 20)
}
