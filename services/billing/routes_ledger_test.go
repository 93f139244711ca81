package billing

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
)

// shelf is the books with their routes, as whoever a test says.
type shelf struct {
	*site
	*LedgerHandler
	key *chain.Key
}

func (b *bench) shelf(t testing.TB, cfg ledger.Config) *shelf {
	t.Helper()
	ring, err := keyring.New(keyring.Config{Secret: "an encryption secret of a test, 32 characters or more"}, zap.NewNop())
	require.NoError(t, err)
	s := &shelf{site: &site{engine: gin.New()}}
	s.LedgerHandler, err = NewLedgerHandler(b.pool, cfg, ring)
	require.NoError(t, err)
	s.every = 0
	s.key, _, err = ledger.Keys(cfg, ring)
	require.NoError(t, err)
	api.Mount(s.engine, api.Guards{Authenticator: s.site, Auditor: s.site}, true, s.operations()...)
	return s
}

func (s *shelf) seal(t testing.TB, b *bench) {
	t.Helper()
	require.NoError(t, ledger.NewSealer(b.pool, s.key, ledger.NewPublisher(ledger.Config{}, zap.NewNop()), zap.NewNop()).SealAll(t.Context()))
}

func (s *shelf) look(t testing.TB) (body ledgerBody) {
	t.Helper()
	status, data := s.do(t, admin(), http.MethodGet, "/ledger", "")
	require.Equal(t, http.StatusOK, status, string(data))
	require.NoError(t, json.Unmarshal(data, &body))
	return body
}

// heard are the events of a check, as a client reads them.
type heard struct {
	status   int
	progress []verifyProgress
	done     *verifyDone
	fault    string // the code of an error
}

func (s *shelf) verifies(t testing.TB, caller services.Caller) (all heard) {
	t.Helper()
	s.caller = caller
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ledger/verify", nil))
	all.status = w.Code
	text := w.Body.String()
	if w.Header().Get("Content-Type") != "text/event-stream" {
		text = "event: error\ndata: " + text + "\n\n"
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		kind, data, _ := strings.Cut(strings.TrimPrefix(part, "event: "), "\ndata: ")
		switch kind {
		case "progress":
			var p verifyProgress
			require.NoError(t, json.Unmarshal([]byte(data), &p))
			all.progress = append(all.progress, p)
		case "done":
			require.NoError(t, json.Unmarshal([]byte(data), &all.done))
		case "error":
			var body struct{ Error struct{ Code string } }
			require.NoError(t, json.Unmarshal([]byte(data), &body), data)
			all.fault = body.Error.Code
		default:
			t.Fatalf("no event: %q", part)
		}
	}
	return all
}

// spend makes some accounts with something in their books.
func spend(t testing.TB, b *bench, accounts int) {
	t.Helper()
	for range accounts {
		caller := user()
		b.balance(t, caller)
		id := b.hold(t, caller, OwnerCall, 5)
		_, err := b.service.Settle(t.Context(), SettleRequest{HoldID: id, Charges: []Charge{{Operation: id.String(), Amount: 5}}, Last: true})
		require.NoError(t, err)
	}
}

func TestHowFarTheLedgerIsSealed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.shelf(t, ledger.Config{})
	require.Equal(t, ledgerBody{}, s.look(t))
	spend(t, b, 3)
	require.Equal(t, ledgerBody{Organizations: 3, Entries: 9, Unsealed: 9}, s.look(t), "granted, held, settled")
	s.seal(t, b)
	sealed := s.look(t)
	require.EqualValues(t, 9, sealed.Entries)
	require.Zero(t, sealed.Unsealed)
	require.EqualValues(t, 1, sealed.Seal.Number)
	require.EqualValues(t, 9, sealed.Seal.Entries)
	require.Equal(t, s.verifies(t, admin()).done.Head.Digest.String(), sealed.Seal.Digest)
	require.Len(t, sealed.Seal.Root, 64)
	require.Equal(t, s.verifies(t, admin()).done.Head.SealedAt.UnixMilli(), sealed.Seal.SealedAt.UnixMilli())
	spend(t, b, 1)
	require.EqualValues(t, 3, s.look(t).Unsealed)
}

func TestTheLedgerIsVerified(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.shelf(t, ledger.Config{})
	spend(t, b, 4)
	s.seal(t, b)
	good := s.verifies(t, admin())
	require.Equal(t, http.StatusOK, good.status)
	require.Empty(t, good.done.Faults)
	require.EqualValues(t, 12, good.done.Entries)
	require.EqualValues(t, 4, good.done.Accounts)
	require.EqualValues(t, 4, good.done.Holds)
	require.EqualValues(t, 1, good.done.Seals)
	require.EqualValues(t, 20, good.done.Credits["revenue"])
	require.Len(t, good.progress, 1+4, "one at once, and one for each organisation as nothing lies between them")
	require.Equal(t, verifyProgress{Of: 4}, good.progress[0])
	require.EqualValues(t, 4, good.progress[4].Organizations)
	require.Empty(t, s.acts, "it changes nothing")

	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.journal SET facts = '{"reason":"another"}' WHERE kind = 'grant'`)
	require.NoError(t, err)
	bad := s.verifies(t, admin())
	require.Equal(t, http.StatusOK, bad.status)
	require.NotEmpty(t, bad.done.Faults)
	require.Contains(t, bad.done.Faults[0].Says, "organisation "+bad.done.Faults[0].Organization.String())
	require.Contains(t, bad.done.Faults[0].Says, bad.done.Faults[0].What)
}

// TestAForeignChainIsFound: what was signed with another key, or does not hold a head that
// was published, is no chain of ours.
func TestAForeignChainIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := filepath.Join(t.TempDir(), "heads.jsonl")
	s, other := b.shelf(t, ledger.Config{File: file}), b.shelf(t, ledger.Config{Secret: "another secret that seals, 32 characters or more"})
	spend(t, b, 1)
	s.seal(t, b)
	require.Empty(t, s.verifies(t, admin()).done.Faults, "no file yet")
	head, err := json.Marshal(chain.Head{Number: 1, Digest: make(chain.Bytes, 32)})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(head, '\n'), 0o600))
	faults := s.verifies(t, admin()).done.Faults
	require.Len(t, faults, 1)
	require.Contains(t, faults[0].What, "another one was published")
	require.NoError(t, os.WriteFile(file, []byte("{no head}\n"), 0o600))
	require.Equal(t, "INTERNAL_ERROR", s.verifies(t, admin()).fault)
	require.NoError(t, os.Remove(file))

	spend(t, b, 1)
	other.seal(t, b)
	require.NotEmpty(t, s.verifies(t, admin()).done.Faults)
}

func TestOneVerificationAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.shelf(t, ledger.Config{})
	s.verifying.Lock()
	second := s.verifies(t, admin())
	require.Equal(t, http.StatusConflict, second.status)
	require.Equal(t, "CONFLICT", second.fault)
	s.verifying.Unlock()
	require.NotNil(t, s.verifies(t, admin()).done)
	require.NotNil(t, s.verifies(t, admin()).done, "the first has let go")
}

// leaver reads one event, and is gone when the next comes.
type leaver struct {
	*httptest.ResponseRecorder
	writes int
	leave  context.CancelFunc
}

func (l *leaver) Write(text []byte) (int, error) {
	switch l.writes++; {
	case l.writes == 1:
	case l.leave != nil:
		l.leave()
	default:
		return 0, errors.New("nobody is there")
	}
	return len(text), nil
}

// TestWhoLeavesIsNotVerifiedFor: reading ends with the client's connection, and the next
// may begin.
func TestWhoLeavesIsNotVerifiedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.shelf(t, ledger.Config{})
	spend(t, b, 5)
	s.caller = admin()
	for name, leaves := range map[string]bool{"the request is cancelled": true, "nothing can be written": false} {
		ctx, cancel := context.WithCancel(t.Context())
		w := &leaver{ResponseRecorder: httptest.NewRecorder()}
		if leaves {
			w.leave = cancel
		}
		s.engine.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/ledger/verify", nil))
		cancel()
		require.LessOrEqual(t, w.writes, 3, "%s: two events, and the word of the failure", name)
		require.True(t, s.verifying.TryLock(), name)
		s.verifying.Unlock()
	}
}

func TestWhoMaySeeTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.shelf(t, ledger.Config{})
	guest, scoped, other := user(), admin(), admin()
	guest.Role, scoped.Scopes, other.Scopes = services.RoleGuest, "ledger:read", "billing:read billing:write"
	for name, c := range map[string]struct {
		caller services.Caller
		status int
	}{
		"nobody":                       {services.Caller{}, http.StatusUnauthorized},
		"a guest":                      {guest, http.StatusUnauthorized},
		"somebody":                     {user(), http.StatusForbidden},
		"an admin":                     {admin(), http.StatusOK},
		"an admin's key that reads it": {scoped, http.StatusOK},
		"an admin's key for others":    {other, http.StatusForbidden},
	} {
		status, _ := s.do(t, c.caller, http.MethodGet, "/ledger", "")
		require.Equal(t, c.status, status, name)
		require.Equal(t, c.status, s.verifies(t, c.caller).status, name)
	}
}
