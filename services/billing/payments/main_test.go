package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85/webhook"

	"uaol/providers/config"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	key        = "sk_test_MARKERofTheKey"
	signedWith = "whsec_MARKERofTheWebhook"
	frontend   = "http://frontend.test"
)

// bench is what a test of this package works with.
type bench struct {
	pool    *pgxpool.Pool
	service *Service
	ledger  *book
}

// setup makes a service whose Stripe is at the given address, or nowhere.
func setup(t testing.TB, stripe string) *bench {
	t.Helper()
	pool := pgtest.New(t)
	return with(t, pool, stripe, nil)
}

func with(t testing.TB, pool *pgxpool.Pool, stripe string, more map[string]string) *bench {
	t.Helper()
	set := map[string]string{
		"STRIPE_SECRET_KEY": key, "STRIPE_WEBHOOK_SECRET": signedWith, "UAOL_STRIPE_URL": stripe,
		"UAOL_STRIPE_PRICE_PRO": "price_pro", "UAOL_STRIPE_PRICE_ENTERPRISE": "price_enterprise",
		"UAOL_CREDIT_PACKS": "small=1000@500usd,large=9000@price_large",
	}
	for name, value := range more {
		set[name] = value
	}
	cfg, err := config.Parse[Config](config.Of(set))
	require.NoError(t, err)
	ledger := &book{}
	_, err = pool.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS book (n serial, organization uuid, operation text UNIQUE, credits bigint, tier text, facts text)`)
	require.NoError(t, err)
	service := New(cfg, Pages{Frontend: frontend + "/"}, pool, ledger)
	t.Cleanup(service.Close)
	return &bench{pool: pool, service: service, ledger: ledger}
}

// book is a ledger that writes down what it was told, in the transaction it was
// told in: what is rolled back is not in it.
type book struct {
	mu   sync.Mutex
	fail int // so many more calls fail after they have written
}

var errCrash = errors.New("the process died")

func (b *book) write(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, tier, facts string) error {
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO book (organization, operation, credits, tier, facts) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (operation) DO NOTHING`,
		organization, operation, credits, tier, facts); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail > 0 {
		b.fail--
		return errCrash
	}
	return nil
}

func (b *book) Purchase(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, facts string) error {
	return b.write(ctx, tx, organization, operation, credits, "", facts)
}

func (b *book) TakeBack(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string, credits int64, facts string) error {
	return b.write(ctx, tx, organization, operation, -credits, "", facts)
}

func (b *book) Subscribed(ctx context.Context, tx pgx.Tx, organization uuid.UUID, tier string, from, until time.Time, operation string) error {
	return b.write(ctx, tx, organization, operation, 0, tier, from.UTC().Format(time.DateOnly)+"/"+until.UTC().Format(time.DateOnly))
}

func (b *book) Unsubscribed(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error {
	return b.write(ctx, tx, organization, "unsubscribed/"+uuid.NewString(), 0, "Free", "")
}

// line is one of the book's.
type line struct {
	Organization uuid.UUID `db:"organization"`
	Operation    string    `db:"operation"`
	Credits      int64     `db:"credits"`
	Tier         string    `db:"tier"`
	Facts        string    `db:"facts"`
}

func (b *bench) lines(t require.TestingT, organization uuid.UUID) []line {
	all, err := postgres.All[line](context.Background(), b.pool, `SELECT organization, operation, credits, tier, facts FROM book WHERE organization = $1 ORDER BY n`, organization)
	require.NoError(t, err)
	return all
}

// credits adds up what the book gave an organisation.
func (b *bench) credits(t require.TestingT, organization uuid.UUID) (sum int64) {
	for _, l := range b.lines(t, organization) {
		sum += l.Credits
	}
	return sum
}

// tier is the one that an organisation was last given.
func (b *bench) tier(t require.TestingT, organization uuid.UUID) string {
	tier := "Free"
	for _, l := range b.lines(t, organization) {
		if l.Tier != "" {
			tier = l.Tier
		}
	}
	return tier
}

// object is JSON that Stripe might write.
type object = map[string]any

var events struct {
	sync.Mutex
	n int
}

// event is a delivery's body; each has an id of its own.
func event(kind string, created int64, about object) []byte {
	events.Lock()
	events.n++
	id := fmt.Sprintf("evt_%d", events.n)
	events.Unlock()
	return eventOf(id, kind, created, about)
}

func eventOf(id, kind string, created int64, about object) []byte {
	text, err := json.Marshal(object{
		"id": id, "object": "event", "type": kind, "created": created, "api_version": "2020-08-27", "data": object{"object": about},
	})
	if err != nil {
		panic(err)
	}
	return text
}

func sign(payload []byte, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: signedWith, Timestamp: at}).Header
}

// deliver sends events as Stripe would.
func (b *bench) deliver(t require.TestingT, payloads ...[]byte) {
	for _, payload := range payloads {
		require.NoError(t, b.service.Webhook(context.Background(), payload, sign(payload, time.Now())), string(payload))
	}
}
