package billing

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/api"
	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
)

// LedgerHandler shows the books to the platform's admins, and looks whether they add up.
type LedgerHandler struct {
	pool      *pgxpool.Pool
	cfg       ledger.Config
	trusted   chain.Trusted
	every     time.Duration // between two words of how far it has come
	verifying sync.Mutex    // held while this process looks: it reads all there is
}

// verifyTold is how often who waits hears how far it has come.
const verifyTold = 250 * time.Millisecond

// NewLedgerHandler makes a LedgerHandler.
func NewLedgerHandler(pool *pgxpool.Pool, cfg ledger.Config, ring *keyring.Ring) (*LedgerHandler, error) {
	_, trusted, err := ledger.Keys(cfg, ring)
	return &LedgerHandler{pool: pool, cfg: cfg, trusted: trusted, every: verifyTold}, err
}

func (h *LedgerHandler) operations() []api.Operation {
	return []api.Operation{
		api.Get("/ledger", "How far the books of credits are sealed", h.state, api.Allow(api.Admin), api.Needs("")),
		api.PostStream("/ledger/verify", "Check the books of credits from the first entry to the last, as `uaol ledger verify` does: events progress and done, or error",
			h.verify, api.Reads(), api.Allow(api.Admin), api.Needs("")),
	}
}

type sealBody struct {
	Number   int64         `json:"number"`
	Digest   string        `json:"digest" doc:"of the seal, and through the one before of all that was ever sealed: what is published as the head"`
	Root     string        `json:"root" doc:"of the tree over the entries that it covers"`
	Entries  int64         `json:"entries" doc:"that it covers"`
	SealedAt services.Time `json:"sealedAt"`
}

func newSealBody(s *chain.Seal) *sealBody {
	if s == nil {
		return nil
	}
	head := s.Head()
	return &sealBody{Number: s.Number, Digest: head.Digest.String(), Root: s.Root.String(), Entries: s.Entries, SealedAt: services.Time{Time: head.SealedAt}}
}

type ledgerBody struct {
	Seal          *sealBody `json:"seal,omitempty" doc:"the newest one"`
	Organizations int64     `json:"organizations" doc:"that have an account"`
	Entries       int64     `json:"entries"`
	Unsealed      int64     `json:"unsealed" doc:"entries that no seal covers yet; sealing is some seconds behind"`
}

func (h *LedgerHandler) state(ctx context.Context, _ services.Caller, _ *struct{}) (api.Data[ledgerBody], error) {
	state, err := ledger.StateOf(ctx, h.pool)
	return api.OK(ledgerBody{
		Seal: newSealBody(state.Seal), Organizations: state.Organizations, Entries: state.Entries, Unsealed: state.Unsealed,
	}), err
}

// verifyProgress is how far a check has come.
type verifyProgress struct {
	ledger.Progress
	Of int64 `json:"of"` // organisations, when it began
}

// verifyDone is what came of a check.
type verifyDone struct {
	At       time.Time        `json:"at"` // when reading began
	Entries  int64            `json:"entries"`
	Accounts int64            `json:"accounts"` // of organisations
	Holds    int64            `json:"holds"`
	Seals    int64            `json:"seals"`
	Head     *chain.Head      `json:"head,omitempty"`      // the last seal's
	Heads    int64            `json:"heads"`               // published ones that are in the chain
	Unsealed ledger.Unsealed  `json:"unsealed"`            // entries that no seal covers yet
	Credits  map[string]int64 `json:"credits"`             // by ledger account, of all organisations together
	Faults   []verifyFault    `json:"faults"`              // none when the books add up
	More     int64            `json:"moreFaults,omitzero"` // than are listed
}

// verifyFault is one thing that is wrong, and where.
type verifyFault struct {
	ledger.Finding
	Says string `json:"message"` // both in one line
}

var errVerifying = services.Errorf(services.Conflict, "The ledger is being checked already; wait until that has ended")

func (h *LedgerHandler) verify(ctx context.Context, _ services.Caller, _ *struct{}, out *api.Events) error {
	if !h.verifying.TryLock() {
		return errVerifying
	}
	defer h.verifying.Unlock()
	// Heads are read first: what was published by then is among what is read after.
	heads, err := ledger.Kept(h.cfg)
	if err != nil {
		return err
	}
	state, err := ledger.StateOf(ctx, h.pool)
	if err != nil {
		return err
	}
	tell := func(p ledger.Progress) error { return out.Send("progress", verifyProgress{p, state.Organizations}) }
	if err := tell(ledger.Progress{}); err != nil {
		return err
	}
	report, err := ledger.Verify(ctx, ledger.Watched(ledger.Database(h.pool), h.every, tell), ledger.Options{Trusted: h.trusted, Heads: heads})
	if err != nil {
		return err
	}
	return out.Send("done", newVerifyDone(report))
}

func newVerifyDone(r *ledger.Report) verifyDone {
	done := verifyDone{
		At: r.At, Entries: r.Entries, Accounts: r.Organizations, Holds: r.Holds, Seals: r.Seals, Head: r.Head, Heads: r.Heads,
		Unsealed: r.Unsealed, Credits: r.Credits, Faults: make([]verifyFault, len(r.Findings)), More: r.More,
	}
	for i, f := range r.Findings {
		done.Faults[i] = verifyFault{f, f.String()}
	}
	return done
}
