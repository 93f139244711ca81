package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"uaol/providers/workers"
	"uaol/services/billing/chain"
)

// Sealer seals what was entered in the journal, some seconds later.
type Sealer struct {
	pool      *pgxpool.Pool
	key       *chain.Key
	publisher *Publisher
	log       *zap.Logger

	most     int                // entries in a seal
	queue    []uuid.UUID        // organisations that may have something to seal
	looked   time.Time          // for recent entries
	wide     time.Time          // for less recent ones
	complete time.Time          // for any
	stuck    map[uuid.UUID]bool // those with a gap in their journal
}

// NewSealer makes a Sealer.
func NewSealer(pool *pgxpool.Pool, key *chain.Key, publisher *Publisher, log *zap.Logger) *Sealer {
	return &Sealer{pool: pool, key: key, publisher: publisher, log: log.Named("sealer"), most: sealMost, stuck: map[uuid.UUID]bool{}}
}

const (
	sealEvery = 2 * time.Second
	sealLease = 15 * time.Second
	sealMost  = 10_000 // entries in a seal
	sealBatch = 1_000  // organisations in a seal

	// An entry has its time before it can be seen. Looking back further than to the
	// last look finds those that were slow; further still now and then, because
	// looking back costs more the more was entered since.
	lookBack     = 10 * time.Second
	lookBackWide = 2 * time.Minute
	wideEvery    = 30 * time.Second
	// What slipped through all the same is found by comparing every account.
	completeEvery = 10 * time.Minute
)

// Run is a workers.Worker's loop. Of all that run in a deployment, one seals.
func (s *Sealer) Run(ctx context.Context) error {
	return workers.Alone(Leases(s.pool), "sealer", sealLease, s.loop)(ctx)
}

func (s *Sealer) loop(ctx context.Context, _ int64) error {
	s.looked, s.wide, s.complete = time.Time{}, time.Time{}, time.Time{} // others sealed meanwhile
	s.log.Info("sealing the ledger", zap.String("key", s.key.Public().String()))
	if head, err := tip(ctx, s.pool); err != nil {
		return err
	} else if head.Number > 0 { // whoever sealed it may have died before publishing it
		s.publisher.Offer(ctx, head.Head())
	}
	defer s.publisher.Flush(ctx)
	return workers.Every(sealEvery, s.SealAll)(ctx)
}

// SealAll seals until nothing is left, and publishes. It is what Run does every
// two seconds; several may do so at once, in processes or with Sealers of their own.
func (s *Sealer) SealAll(ctx context.Context) error {
	if err := s.look(ctx); err != nil {
		return err
	}
	for more := true; more; {
		seal, left, err := s.next(ctx)
		if err != nil {
			return err
		}
		if seal != nil {
			s.publisher.Offer(ctx, seal.Head())
		}
		more = left
	}
	s.publisher.Due(ctx)
	return nil
}

// look finds organisations with entries that may not be sealed.
func (s *Sealer) look(ctx context.Context) error {
	now := time.Now()
	var found []uuid.UUID
	var err error
	if now.Sub(s.complete) >= completeEvery {
		if found, err = behind(ctx, s.pool); err != nil {
			return err
		}
		s.complete = now
		clear(s.stuck)
	} else {
		back := now.Sub(s.looked) + lookBack
		if now.Sub(s.wide) >= wideEvery {
			back, s.wide = now.Sub(s.looked)+lookBackWide, now
		}
		if found, err = recent(ctx, s.pool, back); err != nil {
			s.wide = time.Time{}
			return err
		}
	}
	s.looked = now
	waiting := make(map[uuid.UUID]bool, len(s.queue))
	for _, id := range s.queue {
		waiting[id] = true
	}
	for _, id := range found {
		if !waiting[id] && !s.stuck[id] {
			s.queue = append(s.queue, id)
		}
	}
	return nil
}

// next makes at most one seal, over entries of organisations that look has found,
// and tells whether some are left to be looked at.
func (s *Sealer) next(ctx context.Context) (made *chain.Seal, left bool, err error) {
	batch := s.queue[:min(len(s.queue), sealBatch)]
	if len(batch) == 0 {
		return nil, false, nil
	}
	// The last seal is read first. Whoever seals after that has its number, and only
	// one of us gets it; whoever sealed before that, its ranges are seen below.
	last, err := tip(ctx, s.pool)
	if err != nil {
		return nil, false, err
	}
	found, err := unsealed(ctx, s.pool, batch, s.most)
	if err != nil {
		return nil, false, err
	}
	ranges, gaps := rangesOf(found)
	full := len(found) >= s.most
	if full && len(ranges) > 0 {
		gaps = nil // what seems one may only be where the answer was cut
	}
	for _, id := range gaps {
		s.stuck[id] = true
		s.log.Error("the journal of an organisation has a gap, after which it cannot be sealed", zap.Stringer("organization", id))
	}
	if len(ranges) > 0 {
		seal, err := s.seal(ctx, last, ranges)
		if err != nil || seal == nil {
			return nil, false, err
		}
		made = seal
	}
	if full {
		s.queue = slices.DeleteFunc(s.queue, func(id uuid.UUID) bool { return s.stuck[id] })
	} else {
		s.queue = slices.Clone(s.queue[len(batch):])
	}
	return made, len(s.queue) > 0, nil
}

// seal signs ranges and writes them; nil when somebody else has sealed meanwhile.
func (s *Sealer) seal(ctx context.Context, last chain.Seal, ranges []chain.Range) (*chain.Seal, error) {
	at, err := clock(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	seal := chain.Seal{Number: last.Number + 1, Previous: chain.Genesis(), SealedAt: at}
	if last.Number > 0 {
		seal.Previous = last.Head().Digest
	}
	tree := chain.NewTree()
	for _, r := range ranges {
		tree.Add(r.Leaf())
		seal.Entries += r.Size()
	}
	root := tree.Root()
	seal.Root = root[:]
	seal = s.key.Sign(seal)
	written, err := write(ctx, s.pool, seal, ranges)
	if err != nil || !written {
		return nil, err
	}
	return &seal, nil
}

// rangesOf makes a range of what of each organisation follows its last one without
// a gap, in the order of their ids. It names those that begin with a gap.
func rangesOf(found []unsealedEntry) (ranges []chain.Range, gaps []uuid.UUID) {
	slices.SortFunc(found, func(a, b unsealedEntry) int { return byPlace(a.place(), b.place()) })
	for start := 0; start < len(found); {
		first, tree, end := found[start], chain.NewTree(), start
		for ; end < len(found) && found[end].Organization == first.Organization; end++ {
			if found[end].Seq == first.Sealed+1+tree.Size() {
				tree.Add(found[end].Leaf())
			}
		}
		if size := tree.Size(); size == 0 {
			gaps = append(gaps, first.Organization)
		} else {
			digest := tree.Root()
			ranges = append(ranges, chain.Range{Organization: first.Organization, First: first.Sealed + 1, Last: first.Sealed + size, Digest: digest[:]})
		}
		start = end
	}
	return ranges, gaps
}
