package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/blobs/blobstest"
	"uaol/providers/blobs/s3"
	"uaol/services"
)

func setup(t *testing.T) (*s3.Bucket, string) {
	t.Helper()
	dir := t.TempDir()
	bucket, err := s3.New(t.Context(), blobstest.Versity(t), dir)
	require.NoError(t, err)
	require.NoError(t, bucket.Check(t.Context()))
	return bucket, dir
}

func TestContract(t *testing.T) {
	t.Parallel()
	bucket, dir := setup(t)
	blobstest.Contract(t, bucket)
	_ = dir
}

// send makes a request as a client does that was given a URL.
func send(t *testing.T, method, url string, header http.Header, body string) (status int, answer string, got http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(all), response.Header
}

// TestDirect: a URL is good for one content of one type and size, for a while, and as
// it was made.
func TestDirect(t *testing.T) {
	t.Parallel()
	bucket, _ := setup(t)
	direct := bucket.Direct()
	_, err := direct.Size(t.Context(), "key")
	require.True(t, services.Is(err, services.NotFound), err)
	put, header, err := direct.PutURL(t.Context(), "key", "text/plain", 5, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "text/plain", header.Get("Content-Type"))
	for name, attempt := range map[string]struct {
		url, contentType, body string
	}{
		"another type": {put, "text/html", "hello"},
		"no type":      {put, "", "hello"},
		"longer":       {put, "text/plain", "hello there"},
		"shorter":      {put, "text/plain", "hi"},
		"tampered":     {strings.Replace(put, "uaol/key", "uaol/kez", 1), "text/plain", "hello"},
		"for longer":   {strings.Replace(put, "X-Amz-Expires=60", "X-Amz-Expires=600", 1), "text/plain", "hello"},
	} {
		status, answer, _ := send(t, http.MethodPut, attempt.url, http.Header{"Content-Type": {attempt.contentType}}, attempt.body)
		require.GreaterOrEqual(t, status, 400, "%s: %s", name, answer)
		_, err = direct.Size(t.Context(), "key")
		require.True(t, services.Is(err, services.NotFound), "%s: %v", name, err)
	}
	status, answer, _ := send(t, http.MethodPut, put, header, "hello")
	require.Equal(t, http.StatusOK, status, answer)
	size, err := direct.Size(t.Context(), "key")
	require.NoError(t, err)
	require.EqualValues(t, 5, size)

	get, err := direct.GetURL(t.Context(), "key", "text/plain", `attachment; filename="a.txt"`, time.Minute)
	require.NoError(t, err)
	status, answer, got := send(t, http.MethodGet, get, nil, "")
	require.Equal(t, http.StatusOK, status, answer)
	require.Equal(t, "hello", answer)
	require.Equal(t, "text/plain", got.Get("Content-Type"))
	require.Equal(t, `attachment; filename="a.txt"`, got.Get("Content-Disposition"))
	status, _, _ = send(t, http.MethodGet, strings.Replace(get, "attachment", "inline", 1), nil, "")
	require.GreaterOrEqual(t, status, 400, "other headers")

	short, header, err := direct.PutURL(t.Context(), "late", "text/plain", 5, time.Second)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, _, _ := send(t, http.MethodPut, short, header, "hello")
		return status >= 400
	}, 10*time.Second, 500*time.Millisecond, "it expires")
}

// TestUnreachable: who can't be reached is Unavailable, without its words; what an
// operator is told names the settings.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	cfg := blobstest.Versity(t)
	cfg.Secret = "another"
	wrong, err := s3.New(t.Context(), cfg, t.TempDir())
	require.NoError(t, err)
	cfg.Endpoint = "http://127.0.0.1:1"
	away, err := s3.New(t.Context(), cfg, t.TempDir())
	require.NoError(t, err)
	for name, bucket := range map[string]*s3.Bucket{"wrong": wrong, "away": away} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		require.ErrorContains(t, bucket.Check(ctx), "check S3_BUCKET_NAME, S3_ENDPOINT", name)
		_, put := bucket.Put(ctx, "key", nil, bytes.NewReader([]byte("x")))
		_, open := bucket.Open(ctx, "key", nil, 1)
		for _, err := range []error{put, open, bucket.Delete(ctx, "key")} {
			require.True(t, services.Is(err, services.Unavailable), "%s: %v", name, err)
			require.NotContains(t, services.Errorf(services.Internal, "%v", err).Message, "another")
		}
	}
	broken := errors.New("the line was cut")
	_, err = away.Put(t.Context(), "key", nil, iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := s3.Config{Bucket: "files", Prefix: "uaol/"}
	require.NoError(t, good.Check())
	require.Equal(t, "AES256", good.Encryption)
	elsewhere := s3.Config{Bucket: "files", Endpoint: "http://localhost:9000"}
	require.NoError(t, elsewhere.Check())
	require.Equal(t, "none", elsewhere.Encryption)
	for variable, change := range map[string]func(*s3.Config){
		"S3_BUCKET_NAME":     func(c *s3.Config) { c.Bucket = "a/b" },
		"S3_ENDPOINT":        func(c *s3.Config) { c.Endpoint = "localhost:9000" },
		"UAOL_S3_PREFIX":     func(c *s3.Config) { c.Prefix = "uaol" },
		"UAOL_S3_ENCRYPTION": func(c *s3.Config) { c.Encryption = "rot13" },
		"AWS_ACCESS_KEY_ID":  func(c *s3.Config) { c.Secret = "x" },
	} {
		wrong := good
		change(&wrong)
		require.ErrorContains(t, wrong.Check(), variable)
		wrong.Bucket = ""
		require.NoError(t, wrong.Check(), "nobody asks for it")
	}
}
