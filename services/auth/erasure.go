package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/postgres"
	"uaol/services"
)

// keepers are the services that keep things of people, beside auth.
var keepers = []string{string(services.Registry), string(services.Proxy), string(services.Jobs), string(services.Billing), string(services.Storage)}

// Eraser lets the other services erase what they keep of accounts that are
// gone. A row stands for each account until every service has done it, twice:
// requests that were under way when the account ended may leave something
// behind the first time. Several erasers may run at once.
type Eraser struct {
	repository *Repository
	custody    map[services.Name]services.Custody
	log        *zap.Logger
	warned     sync.Map // services without an address, which is said once
}

// NewEraser makes an Eraser.
func NewEraser(repository *Repository, custodies []services.Custody, log *zap.Logger) *Eraser {
	e := &Eraser{repository: repository, custody: map[services.Name]services.Custody{}, log: log}
	for _, c := range custodies {
		e.custody[c.Service] = c
	}
	return e
}

const (
	eraseEvery = 5 * time.Second
	eraseBatch = 50          // accounts
	eraseIn    = time.Minute // one account by one service
)

// Round looks once at whose turn it is. An error of the database ends it.
func (e *Eraser) Round(ctx context.Context) error {
	for {
		due, err := e.repository.dueErasures(ctx, eraseBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, d := range due {
			if err := e.erase(ctx, d); err != nil {
				return err
			}
		}
	}
}

// erase asks every service that has not confirmed yet. What fails waits for the
// account's next turn.
func (e *Eraser) erase(ctx context.Context, d erasure) error {
	if err := e.repository.blankActs(ctx, e.repository.pool, []uuid.UUID{d.Account}); err != nil {
		return err
	}
	who := services.Person{Account: d.Account, Guest: d.Guest, Organizations: d.Organizations}
	for _, name := range d.Services {
		if err := e.ask(ctx, services.Name(name), who); err != nil {
			if ctx.Err() != nil {
				return err
			}
			continue
		}
		if err := e.repository.confirmErasure(ctx, d, name); err != nil {
			return err
		}
	}
	return e.repository.endErasure(ctx, d.Account)
}

func (e *Eraser) ask(ctx context.Context, name services.Name, who services.Person) error {
	custody, ok := e.custody[name]
	if !ok || custody.Missing != nil {
		err := fmt.Errorf("the %s service is not known here", name)
		if ok {
			err = custody.Missing
		}
		if _, said := e.warned.LoadOrStore(name, true); !said {
			e.log.Warn("a service cannot be asked to erase what it keeps of deleted accounts; that waits", zap.String("service", string(name)), zap.Error(err))
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, eraseIn)
	defer cancel()
	err := custody.Keeper.Erase(ctx, who)
	if err != nil && !services.Is(err, services.Conflict) {
		e.log.Warn("a deleted account's things were not erased, trying again later",
			zap.String("service", string(name)), zap.Stringer("account", who.Account), zap.Error(err))
	}
	return err
}

// erasure is an account whose things have to go.
type erasure struct {
	Account       uuid.UUID   `db:"account_id"`
	Guest         bool        `db:"guest"`
	Organizations []uuid.UUID `db:"organizations"`
	Services      []string    `db:"services"`
	Final         bool        `db:"final"`
}

// addErasures hands accounts that are gone to the eraser.
func (r *Repository) addErasures(ctx context.Context, q postgres.Querier, people ...services.Person) error {
	for _, who := range people {
		if _, err := postgres.Exec(ctx, q, `
			INSERT INTO uaol_auth.erasures (account_id, guest, organizations, services) VALUES ($1, $2, $3::text[]::uuid[], $4::text[])`,
			who.Account, who.Guest, postgres.UUIDs(who.Organizations), keepers); err != nil {
			return err
		}
	}
	return nil
}

// dueErasures gives some accounts whose turn it is. Their next turn is set
// beforehand: it comes also when this process dies, and later each time.
func (r *Repository) dueErasures(ctx context.Context, limit int) ([]erasure, error) {
	return postgres.All[erasure](ctx, r.pool, `
		UPDATE uaol_auth.erasures
		SET attempts = attempts + 1, next_at = now() + least(10 * power(2::float8, least(attempts, 9)::float8), 3600) * interval '1 second'
		WHERE account_id IN (
			SELECT account_id FROM uaol_auth.erasures WHERE next_at <= now()
			ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING account_id, guest, organizations, services, final`, limit)
}

// confirmErasure notes what was done in a round, unless another eraser has begun
// the next one.
func (r *Repository) confirmErasure(ctx context.Context, d erasure, service string) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_auth.erasures SET services = array_remove(services, $2::text) WHERE account_id = $1 AND final = $3`, d.Account, service, d.Final)
	return err
}

// endErasure begins the second round once all services have confirmed the
// first, an hour after the account ended: nobody's credentials have counted for
// so long. After the second one nothing is left to do.
func (r *Repository) endErasure(ctx context.Context, account uuid.UUID) error {
	n, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_auth.erasures WHERE account_id = $1 AND final AND services = '{}'::text[]`, account)
	if err != nil || n > 0 {
		return err
	}
	_, err = postgres.Exec(ctx, r.pool, `
		UPDATE uaol_auth.erasures SET final = true, services = $2::text[], attempts = 0,
			next_at = greatest(now(), requested_at + interval '1 hour')
		WHERE account_id = $1 AND NOT final AND services = '{}'::text[]`, account, keepers)
	return err
}
