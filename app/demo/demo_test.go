package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/app/client"
	"uaol/app/demo"
	"uaol/providers/config"
)

func TestDemoIsTrue(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, demo.Run(t.Context(), config.Of(nil), demo.Options{Out: &out, Log: "error"}), "%s", &out)
	for _, line := range []string{"Credits before: 10000", "Credits after:  9975", "MANY TOOLS, ONE DOOR: 13 words, 52 letters", "All of it was true"} {
		assert.Contains(t, out.String(), line)
	}
}

// told is what a demo says while it goes on.
type told struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *told) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *told) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var invitation = regexp.MustCompile(`open (http://127\.0\.0\.1:\d+)/console/enter\?link=(lnk_\S+)`)

// TestADemoThatStaysInvites its user and its admin to the console.
func TestADemoThatStaysInvites(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	for at := dir; at != filepath.Dir(at) && strings.HasPrefix(at, os.TempDir()+"/"); at = filepath.Dir(at) {
		require.NoError(t, os.Chmod(at, 0o755)) // PostgreSQL may run as another user
	}
	env := config.Of(map[string]string{"UAOL_DATA_DIR": filepath.Join(dir, "data"), "UAOL_ADDR": "127.0.0.1:0"})
	out, ended := &told{}, make(chan error, 1)
	go func() { ended <- demo.Run(ctx, env, demo.Options{Keep: true, Out: out, Log: "error"}) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "the admin's key") }, 2*time.Minute, 10*time.Millisecond, "%s", out)
	var emails []string
	for _, link := range invitation.FindAllStringSubmatch(out.String(), -1) {
		somebody := client.Client{Base: link[1]}
		var signedIn struct{ Token string }
		require.NoError(t, somebody.Do(ctx, http.MethodPost, "/auth/login", map[string]string{"link": link[2]}, &signedIn))
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, link[1]+"/auth/me", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+signedIn.Token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		var me struct{ Data struct{ Email string } }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&me))
		require.NoError(t, response.Body.Close())
		emails = append(emails, me.Data.Email)
	}
	require.Len(t, emails, 2, "%s", out)
	require.Regexp(t, `^ada-\w+@demo\.example$`, emails[0])
	require.Regexp(t, `^admin-\w+@demo\.example$`, emails[1])
}
