// Package original brings what the original's database holds over to this one:
// users with their ids and API keys, tools, credits, and the jobs that have ended.
// The source is only read, in one transaction that shows it as it was when that
// began. Everything has an id that follows from the source, and what is here already
// stays as it is: so it may be cut short and run again, and twice is as good as once.
package original

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"uaol/providers/egress"
	"uaol/services/auth"
	"uaol/services/billing"
	"uaol/services/jobs"
	"uaol/services/registry"
)

// Target is where things go: each service writes its own tables.
type Target struct {
	Auth     *auth.Repository
	Billing  *billing.Repository
	Registry *registry.Repository
	Jobs     *jobs.Repository
	Policy   *egress.Policy // which addresses tools may have
}

// Options say what is brought.
type Options struct {
	From          string // the source's URL
	DryRun        bool   // everything but the writing
	KeepApprovals bool   // tools that are approved there are in force here, unpinned
	Batch         int    // rows that are written at a time; 0 for 500
}

const (
	usualBatch = 500
	batchBytes = 8 << 20 // of jobs, whose rows may be large
	attempts   = 10      // at a batch that others change meanwhile
)

// run is one import.
type run struct {
	Target
	Options
	source *source
	report *Report
	// Addresses and keys that users of this run have: a dry run stores none.
	taken map[digest]uuid.UUID
}

// Run brings everything over and says what became of it. What it says up to an error
// is true.
func Run(ctx context.Context, target Target, in Options) (*Report, error) {
	if in.Batch <= 0 {
		in.Batch = usualBatch
	}
	report := newReport(in.DryRun)
	return report, read(ctx, in.From, func(s *source) error {
		r := &run{Target: target, Options: in, source: s, report: report, taken: map[digest]uuid.UUID{}}
		for _, stage := range []func(context.Context) error{r.users, r.tools, r.jobs, r.others} {
			if err := stage(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// others counts what is left behind as a whole.
func (r *run) others(ctx context.Context) error {
	for _, table := range []struct {
		name string
		rows func(context.Context) (int64, error)
		code Code
	}{
		{"user_api_keys", r.source.providerKeys, ProviderKeys},
		{"user_oauth_tokens", r.source.oauthTokens, OAuthTokens},
	} {
		there, err := r.source.has(ctx, table.name)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		rows, err := table.rows(ctx)
		if err != nil {
			return err
		}
		if rows > 0 {
			r.report.count(table.code, rows)
		}
	}
	return nil
}

// namespace is that of ids which are made here, by RFC 9562's version 5.
var namespace = uuid.MustParse("6f0c3a0e-6a4f-4b57-9d0a-0d7a8a3a2f11")

// idOf keeps an id that is a UUID, so that clients that have stored it find what it
// names. Of any other one it makes a UUID, always the same.
func idOf(kind, text string) (id uuid.UUID, kept bool) {
	if id, err := uuid.Parse(text); err == nil && len(text) == len(uuid.Nil.String()) && id != uuid.Nil {
		return id, true
	}
	return uuid.NewSHA1(namespace, []byte(kind+" "+text)), false
}

// organizationOf is the personal organisation of a user who is new here.
func organizationOf(user uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte("organization "+user.String()))
}

// moment is a time that can be stored and shown; instead of none, or one of no
// calendar, it is the other one.
func moment(t pgtype.Timestamptz, instead time.Time) time.Time {
	if !t.Valid || t.InfinityModifier != pgtype.Finite || t.Time.Year() < 1 || t.Time.Year() > 9999 {
		return instead
	}
	return t.Time
}
