package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// uploads is how many files TestUploadsAtOnce uploads.
func uploads(t testing.TB) int {
	t.Helper()
	text := os.Getenv("UAOL_TEST_UPLOADS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "UAOL_TEST_UPLOADS")
	return n
}

const (
	uploadSize = 50 << 20
	// mostResident is what the server may take of memory while it receives them all.
	mostResident = underRace * 300 << 20
)

// written is a file that nobody keeps in memory: every fourth is a text, which is also
// read as a document, the others are nothing that anybody reads.
func written(n int) io.Reader {
	source := rand.New(rand.NewPCG(uint64(n), 1))
	if n%4 != 0 {
		return io.LimitReader(noise{source}, uploadSize)
	}
	return io.LimitReader(io.MultiReader(strings.NewReader(fmt.Sprintf("Document %d.\n", n)), prose{}), uploadSize)
}

type noise struct{ source *rand.Rand }

func (n noise) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 8 {
		v := n.source.Uint64()
		for k := i; k < min(i+8, len(p)); k, v = k+1, v>>8 {
			p[k] = byte(v)
		}
	}
	return len(p), nil
}

type prose struct{}

func (prose) Read(p []byte) (int, error) {
	const line = "The quick brown fox jumps over the lazy dog, again and again.\n"
	n := 0
	for n < len(p) {
		n += copy(p[n:], line)
	}
	return n, nil
}

// send uploads a file as a form, without having it in memory.
func (p *program) send(key, name string, content io.Reader) (status int, body []byte, err error) {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("file", name)
		if err == nil {
			_, err = io.Copy(part, content)
		}
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	request, err := http.NewRequest(http.MethodPost, p.base+"/storage/upload", reader)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("X-API-Key", key)
	response, err := (&http.Client{Timeout: 20 * time.Minute}).Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

type stored struct {
	ID     string `json:"fileId"`
	URL    string
	SHA256 string
	Size   int64
}

// TestUploadsAtOnce uploads files of 50 MB all at once: the server's resident memory
// stays below 300 MB, and each comes back as it was sent.
func TestUploadsAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak of a process's memory is read from /proc")
	}
	p := startProgram(t, openDir(t), "UAOL_SIGNUPS_PER_HOUR=0", "UAOL_PLAN_FREE=credits=10000")
	var user struct{ User struct{ APIKey string } }
	p.do(t, "", "POST", "/auth/register", `{"email":"ada@example.com"}`, &user)
	key := user.User.APIKey
	n := uploads(t)
	sums, made := make([]string, n), make([]stored, n)
	began := time.Now()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			digest := sha256.New()
			status, body, err := p.send(key, fmt.Sprintf("%d.txt", i), io.TeeReader(written(i), digest))
			if err != nil || status != http.StatusOK {
				t.Errorf("%d: %d %s %v", i, status, body, err)
				return
			}
			sums[i] = hex.EncodeToString(digest.Sum(nil))
			var answer struct{ Data stored }
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Error(err)
			}
			made[i] = answer.Data
		})
	}
	all.Wait()
	took := time.Since(began)
	require.False(t, t.Failed())
	for i, f := range made {
		require.Equal(t, sums[i], f.SHA256)
		require.EqualValues(t, uploadSize, f.Size)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+f.URL, nil)
		require.NoError(t, err)
		request.Header.Set("X-API-Key", key)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		digest := sha256.New()
		_, err = io.Copy(digest, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, sums[i], hex.EncodeToString(digest.Sum(nil)), "it comes back as it was sent")
	}
	peak := peakOf(t, p.Process.Pid)
	require.Less(t, peak, int64(mostResident), "peak of the server's resident memory")
	t.Logf("%d uploads of %d MB at once in %s: peak of resident memory %d MB", n, uploadSize>>20, took.Round(time.Second), peak>>20)
}

// peakOf is the most memory that a process has had resident, in bytes.
func peakOf(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			require.NoError(t, err)
			return kilobytes << 10
		}
	}
	t.Fatal("there is no VmHWM")
	return 0
}

// TestDiskFull uploads more than there is room for: what does not fit is 507 and leaves
// nothing behind, and there is room again when something is removed.
func TestDiskFull(t *testing.T) {
	dir := openDir(t)
	files := mountSmall(t, dir, 24)
	p := startProgram(t, dir, "UAOL_SIGNUPS_PER_HOUR=0")
	var user struct{ User struct{ APIKey string } }
	p.do(t, "", "POST", "/auth/register", `{"email":"ada@example.com"}`, &user)
	key := user.User.APIKey
	var mu sync.Mutex
	var kept []stored
	full := 0
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			content := bytes.Repeat([]byte{byte(i), 0xff}, 5<<19)
			status, body, err := p.send(key, fmt.Sprint(i), bytes.NewReader(content))
			mu.Lock()
			defer mu.Unlock()
			var answer struct {
				Data  stored
				Error struct{ Code, Message string }
			}
			switch _ = json.Unmarshal(body, &answer); {
			case err == nil && status == http.StatusOK:
				kept = append(kept, answer.Data)
			case err == nil && status == http.StatusInsufficientStorage:
				full++
			default:
				t.Errorf("%d %s %v", status, body, err)
			}
		})
	}
	all.Wait()
	require.Positive(t, full)
	require.NotEmpty(t, kept)
	require.Equal(t, 8, full+len(kept))
	left := func() (names []string) {
		entries, err := os.ReadDir(files)
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	require.Len(t, left(), len(kept), "no partial file is left")
	var listed []stored
	p.do(t, key, "GET", "/storage/files", "", &listed)
	require.Len(t, listed, len(kept))
	for _, f := range kept {
		p.do(t, key, "DELETE", "/storage/files/"+f.ID, "", nil)
	}
	require.Empty(t, left())
	status, body, err := p.send(key, "again", bytes.NewReader(bytes.Repeat([]byte{1, 0xff}, 5<<19)))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, string(body))
}
