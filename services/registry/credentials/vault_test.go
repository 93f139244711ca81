package credentials

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// vaultServer speaks as much of Vault's HTTP API as a KV engine of version 2 and
// a token of its own need: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
type vaultServer struct {
	*httptest.Server

	mu      sync.Mutex
	kept    map[string][]map[string]any // versions by path
	renewed int
	ttl     int // seconds, of the token
	fail    int // a status to answer everything with
}

const (
	vaultToken = "the-token-of-a-vault"
	vaultMount = "kv/tools"
)

func startVault(t testing.TB) *vaultServer {
	t.Helper()
	v := &vaultServer{kept: map[string][]map[string]any{}, ttl: 3600}
	v.Server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	return v
}

func (v *vaultServer) serve(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	none := map[string]any{"errors": []string{}}
	switch {
	case v.fail != 0:
		answer(v.fail, map[string]any{"errors": []string{"asked for " + r.URL.Path}})
		return
	case r.Header.Get("X-Vault-Request") != "true":
		answer(http.StatusPreconditionFailed, none)
		return
	case r.Header.Get("X-Vault-Token") != vaultToken:
		answer(http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
		return
	}
	path, isData := strings.CutPrefix(r.URL.Path, "/v1/"+vaultMount+"/data/")
	meta, isMeta := strings.CutPrefix(r.URL.Path, "/v1/"+vaultMount+"/metadata/")
	switch {
	case r.URL.Path == "/v1/auth/token/lookup-self" && r.Method == http.MethodGet:
		answer(http.StatusOK, map[string]any{"data": map[string]any{"renewable": true, "ttl": v.ttl}})
	case r.URL.Path == "/v1/auth/token/renew-self" && r.Method == http.MethodPut:
		v.renewed++
		answer(http.StatusOK, map[string]any{"auth": map[string]any{"client_token": vaultToken, "renewable": true, "lease_duration": v.ttl}})
	case isData && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		var in struct{ Data map[string]any }
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Data == nil {
			answer(http.StatusBadRequest, map[string]any{"errors": []string{"no data provided"}})
			return
		}
		v.kept[path] = append(v.kept[path], in.Data)
		answer(http.StatusOK, map[string]any{"data": v.metadata(path)})
	case isData && r.Method == http.MethodGet:
		versions := v.kept[path]
		if len(versions) == 0 {
			answer(http.StatusNotFound, none)
			return
		}
		answer(http.StatusOK, map[string]any{"data": map[string]any{"data": versions[len(versions)-1], "metadata": v.metadata(path)}})
	case isMeta && r.Method == http.MethodDelete:
		delete(v.kept, meta)
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(http.StatusMethodNotAllowed, none)
	}
}

func (v *vaultServer) metadata(path string) map[string]any {
	return map[string]any{"created_time": "2026-01-02T03:04:05.678901Z", "custom_metadata": nil, "deletion_time": "", "destroyed": false, "version": len(v.kept[path])}
}

// set changes the server between requests.
func (v *vaultServer) set(change func(*vaultServer)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

// paths are where something is kept.
func (v *vaultServer) paths() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.kept))
}

func (v *vaultServer) wipe() { v.set(func(v *vaultServer) { clear(v.kept) }) }

func (v *vaultServer) failures() map[string]func() {
	ways := map[string]func(){}
	for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError, http.StatusBadRequest} {
		ways[http.StatusText(status)] = func() { v.set(func(v *vaultServer) { v.fail = status }) }
	}
	return ways
}

func (v *vaultServer) mend() { v.set(func(v *vaultServer) { v.fail = 0 }) }

// config names the server.
func (v *vaultServer) config(c *Config) {
	c.Manager, c.VaultAddr, c.VaultToken, c.VaultMount = inVault, v.URL, vaultToken, vaultMount
}
