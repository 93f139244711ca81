package fleet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// profiles is the variable that names a directory for profiles of the processors' time
// of what is measured: go tool pprof reads them. They cost some speed themselves.
const profiles = "UAOL_FLEET_PROFILES"

// profile looks for so long at what processes do while f runs.
func profile(t testing.TB, name string, processes []*Process, long time.Duration, f func() error) {
	t.Helper()
	dir := os.Getenv(profiles)
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("%s: %v", profiles, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*long+time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for _, p := range processes {
		if p.admin == "" {
			continue
		}
		group.Go(func() {
			if err := p.profile(ctx, long, filepath.Join(dir, name+"-"+p.Name+".pprof")); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		})
	}
	if err := f(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	group.Wait()
}

func (p *Process) profile(ctx context.Context, long time.Duration, file string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.admin, max(int(long.Seconds()), 1))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, answer.Body)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}
