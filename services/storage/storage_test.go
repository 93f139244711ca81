package storage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/blobs"
	"uaol/providers/config"
	"uaol/providers/embeddings"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/storage/conversations"
	"uaol/services/storage/documents"
	"uaol/services/storage/library"
)

// TestMain lets the test binary be the reading process too.
func TestMain(m *testing.M) {
	if documents.IsWork(os.Args[1:]) {
		os.Exit(documents.Work(os.Args[1:], os.Stdin, os.Stdout))
	}
	pgtest.Main(m)
}

// bench is what a test of this package works with.
type bench struct {
	pool    *pgxpool.Pool
	dir     string // of the blobs
	plans   *plans
	shelf   *blobs.Shelf
	service *Service
	talks   *conversations.Service
	library *library.Service
	engine  *gin.Engine

	everything *Everything
}

func setup(t testing.TB) *bench {
	t.Helper()
	data := t.TempDir()
	b := setupOn(t, blobs.NewShelf(inDirectory, blobs.NewDirectory(config.Process{DataDir: data})))
	b.dir = filepath.Join(data, "files")
	return b
}

func setupOn(t testing.TB, shelf *blobs.Shelf) *bench {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, shelf.Close()) })
	b := &bench{pool: pgtest.New(t), plans: &plans{}, shelf: shelf}
	cfg := Config{Largest: "20MB"}
	require.NoError(t, cfg.Check())
	bell := library.NewBell()
	b.service = NewService(NewRepository(b.pool), shelf, ring(t, keyring.Config{Secret: firstSecret}), b.plans, bell, cfg, zap.NewNop())
	b.library = library.NewService(library.NewRepository(b.pool), b.service, &embeddings.Client{}, bell, zap.NewNop())
	b.talks = conversations.NewService(conversations.NewRepository(b.pool))
	b.everything = NewEverything(b.service, b.talks)
	gin.SetMode(gin.ReleaseMode)
	b.engine = gin.New()
	api.Mount(b.engine, api.Guards{Authenticator: header{}}, false, slices.Concat(NewHandler(b.service, b.library).operations(), library.NewHandler(b.library).Operations(), conversations.NewHandler(b.talks).Operations())...)
	return b
}

// routes are all operations, those between services too.
func (b *bench) routes() []api.Operation {
	return routes(NewHandler(b.service, b.library), library.NewHandler(b.library), conversations.NewHandler(b.talks), b.talks, b.library, b.everything, b.pool, events.Outlet{}).Routes.Operations
}

const (
	firstSecret  = "Lp0hG6fDs3Ew9Kx5Cn1By7Rt4Zm2qJ8v"
	secondSecret = "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"
)

func ring(t testing.TB, cfg keyring.Config) *keyring.Ring {
	t.Helper()
	r, err := keyring.New(cfg, zap.NewNop())
	require.NoError(t, err)
	return r
}

// plans are billing's word: one plan for everybody.
type plans struct {
	billing.Meter
	mu   sync.Mutex
	plan billing.Plan
}

func (p *plans) Plans(_ context.Context, in billing.PlansRequest) ([]billing.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Repeat([]billing.Plan{p.plan}, len(in.Organizations)), nil
}

func (p *plans) set(plan billing.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
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
	f, err := b.service.Upload(t.Context(), caller, Upload{Filename: name, Size: -1, Content: strings.NewReader(content)})
	require.NoError(t, err)
	return f
}

// fetch gives a file's content.
func (b *bench) fetch(t testing.TB, f File) string {
	t.Helper()
	content, err := b.service.Open(t.Context(), f)
	require.NoError(t, err)
	defer content.Close()
	text, err := io.ReadAll(content)
	require.NoError(t, err)
	return string(text)
}

func (b *bench) number(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (b *bench) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// whole holds what is stored against what rows say: every file has its content, every
// content that is kept has a file, and usage is their sum.
func (b *bench) whole(t testing.TB) {
	t.Helper()
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.files f WHERE NOT EXISTS (
		SELECT 1 FROM uaol_storage.contents c WHERE c.content_id = f.content_id AND c.organization_id = f.organization_id AND c.state = 'kept' AND c.sha256 = f.sha256)`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.contents c WHERE state = 'kept' AND NOT EXISTS (
		SELECT 1 FROM uaol_storage.files f WHERE f.content_id = c.content_id)`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.usage u WHERE
		files <> (SELECT count(*) FROM uaol_storage.files f WHERE f.organization_id = u.organization_id)
		OR bytes <> (SELECT coalesce(sum(size), 0) FROM uaol_storage.contents c WHERE c.organization_id = u.organization_id AND state = 'kept')`))
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
	got := b.do(t, owner, "POST", "/storage/upload", `{"filename":"../../etc/passwd","contentType":"text/html","data":"aGVsbG8="}`)
	require.Equal(t, http.StatusOK, got.Status, got.Text)
	var made uploadedBody
	require.NoError(t, json.Unmarshal(got.Data, &made))
	require.Equal(t, "/uploads/"+made.ID.String(), made.URL)
	require.Len(t, b.blobs(t), 1, "the name is data, never a path")
	onDisk, err := os.ReadFile(filepath.Join(b.dir, b.blobs(t)[0]))
	require.NoError(t, err)
	require.NotContains(t, string(onDisk), "hello", "it is encrypted")

	got = b.do(t, owner, "GET", "/storage/files/"+made.ID.String(), "")
	require.Equal(t, http.StatusOK, got.Status)
	var f map[string]any
	require.NoError(t, json.Unmarshal(got.Data, &f))
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, f["createdAt"])
	delete(f, "createdAt")
	require.Equal(t, map[string]any{"fileId": made.ID.String(), "filename": "../../etc/passwd", "contentType": "text/plain; charset=utf-8", "url": made.URL,
		"size": 5.0, "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}, f, "what it was said to be does not count")

	for name, test := range map[string]struct {
		body, message string
		status        int
	}{
		"nothing":      {``, "Filename and data are required", 400},
		"no data":      {`{"filename":"x"}`, "Filename and data are required", 400},
		"no name":      {`{"data":"aGVsbG8="}`, "Filename and data are required", 400},
		"empty name":   {`{"filename":"","data":"aGVsbG8="}`, "Filename and data are required", 400},
		"no content":   {`{"filename":"x","data":""}`, "Filename and data are required", 400},
		"not base64":   {`{"filename":"x","data":"!!!"}`, "body.data: must be base64", 400},
		"no text":      {`{"filename":7,"data":"aGVsbG8="}`, "body.filename: must be a text, not a number", 400},
		"no object":    {`[]`, "body: must be an object", 400},
		"no JSON":      {`{"filename`, "body: malformed JSON: unexpected end of JSON input", 400},
		"a NUL":        {`{"filename":"x\u0000","data":"aGVsbG8="}`, "body.filename: must be text without control characters", 400},
		"a long name":  {`{"filename":"` + strings.Repeat("x", 256) + `","data":"aGVsbG8="}`, "body.filename: must have at most 255 bytes", 400},
		"too large":    {`{"filename":"x","data":"` + strings.Repeat("A", maxJSON) + `"}`, "The body is larger than 15728640 bytes; send larger files as a form", 413},
		"no such form": {`{"filename":"x","data":null}`, "Filename and data are required", 400},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, owner, "POST", "/storage/upload", test.body)
			require.Equal(t, test.status, got.Status, got.Text)
			require.Equal(t, test.message, got.Error.Message)
		})
	}
	require.Len(t, b.blobs(t), 1, "what was refused left no content behind")

	large := base64.StdEncoding.EncodeToString(make([]byte, 3<<20))
	got = b.do(t, owner, "POST", "/storage/upload", `{"filename":"large","data":"`+large+`"}`)
	require.Equal(t, http.StatusOK, got.Status, "more than other routes take")
	b.whole(t)
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
	b.whole(t)
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
