package payments

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stripe/stripe-go/v85"

	"uaol/services"
)

// Service is what can be done about payments. Without STRIPE_SECRET_KEY
// everything answers BILLING_NOT_CONFIGURED.
type Service struct {
	cfg    Config
	pages  Pages
	store  *store
	ledger Ledger

	stripe    *stripe.Client
	transport *http.Transport
}

// Pages are where people come back to from Stripe's.
type Pages struct {
	Frontend string // its /billing
	Public   string // the address that clients know us by, for the console's /console/credits; "" for what each calls us
}

// Console is the Buyer.ReturnTo of who buys there.
const Console = "/console"

// Buyer is who buys, and where.
type Buyer struct {
	Organization uuid.UUID
	Email        string // "" for none
	ReturnTo     string // Console, or "" for the frontend
}

// page is where a buyer comes back to.
func (p Pages) page(ctx context.Context, b Buyer) string {
	if b.ReturnTo == Console {
		return services.OriginFrom(ctx).Base(p.Public) + Console + "/credits"
	}
	return strings.TrimRight(p.Frontend, "/") + "/billing"
}

// New makes a Service. Close ends its connections.
func New(cfg Config, pages Pages, pool *pgxpool.Pool, ledger Ledger) *Service {
	client, transport := newClient(cfg)
	return &Service{
		cfg: cfg, pages: pages, store: &store{pool}, ledger: ledger,
		stripe: client, transport: transport,
	}
}

// Close ends connections that wait for more to be said.
func (s *Service) Close() { s.transport.CloseIdleConnections() }

// Configured reports whether anything can be bought.
func (s *Service) Configured() bool { return s.cfg.SecretKey != "" }

// configured is the error of all calls while nothing can be bought.
func (s *Service) configured() error {
	if !s.Configured() {
		return unset("STRIPE_SECRET_KEY")
	}
	return nil
}

// Packs lists the credits for sale.
func (s *Service) Packs() ([]Pack, error) {
	if err := s.configured(); err != nil {
		return nil, err
	}
	return append([]Pack(nil), s.cfg.packs...), nil
}

// pack finds a pack by its name.
func (s *Service) pack(name string) (Pack, error) {
	var names []string
	for _, p := range s.cfg.packs {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Pack{}, services.Faults(services.Fault{Path: "body.pack", Message: "must be one of " + strings.Join(names, ", ")})
}
