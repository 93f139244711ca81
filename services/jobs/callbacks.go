package jobs

import (
	"context"
	"encoding/base64"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/batch"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/services"
)

// Callbacks tells receivers of jobs' ends, as the specification of Standard
// Webhooks has it (https://www.standardwebhooks.com). Several processes share the
// work; what is under way is ahead in callbacks.due_at for as long as a lease, so
// that another tells it if this one dies.
type Callbacks struct {
	repository *Repository
	service    *Service
	ring       *keyring.Ring
	client     *http.Client
	log        *zap.Logger
	outcomes   batch.Group[callbackOutcome, struct{}]

	lease, answerIn, handBackIn time.Duration // other than the constants only in tests

	wake  chan struct{}
	more  atomic.Bool // there was no room for all that was due
	after string      // the last lane that was looked at

	mu    sync.Mutex
	now   int            // that are being told
	teams map[string]int // of them, by organisation
	hosts map[string]*receiver
	going sync.WaitGroup
}

const (
	callbackLease = 30 * time.Second // longer than telling one and writing that down take
	callbackIn    = 10 * time.Second // for an answer
	callbackStop  = 5 * time.Second  // how long what is under way may go on when the process stops
)

// NewCallbacks makes the deliverer; a job that ends in this process wakes it.
func NewCallbacks(service *Service, policy *egress.Policy, ring *keyring.Ring, bus *events.Bus, log *zap.Logger) *Callbacks {
	c := &Callbacks{
		repository: service.repository, service: service, ring: ring, log: log,
		// No redirect is followed: what it leads to was not asked for.
		client: &http.Client{Transport: policy.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		lease:  callbackLease, answerIn: callbackIn, handBackIn: callbackStop,
		wake: make(chan struct{}, 1), teams: map[string]int{}, hosts: map[string]*receiver{},
	}
	c.outcomes.Write = c.repository.told
	bus.Subscribe(func(e events.Event) {
		if e.Type == "job.ended" {
			c.Wake()
		}
	})
	return c
}

// Wake makes it look for what is due now.
func (c *Callbacks) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Callback is how it went to tell of a job's end.
type Callback struct {
	URL         string         `json:"url" db:"url"`
	Event       *uuid.UUID     `json:"-" db:"event_id"`
	WebhookID   *string        `json:"webhook_id" db:"-" doc:"of all attempts to tell of this end; null until the job has ended"`
	Status      *Status        `json:"status" db:"status" doc:"of the job, that is told; null until it has ended"`
	Attempts    int            `json:"attempts" db:"attempts"`
	DueAt       *services.Time `json:"due_at" db:"due_at" doc:"when it is told next; null once it is delivered or given up"`
	DeliveredAt *services.Time `json:"delivered_at" db:"delivered_at"`
	LastError   *string        `json:"last_error" db:"last_error"`
}

// Get tells how it went to tell of the end of one of the caller's jobs.
func (c *Callbacks) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (Callback, error) {
	if _, err := c.service.find(ctx, caller, id); err != nil {
		return Callback{}, err
	}
	found, err := c.repository.callback(ctx, id)
	if services.Is(err, services.NotFound) {
		return Callback{}, services.Errorf(services.NotFound, "The job has no callback_url")
	}
	if err == nil && found.Event != nil {
		id := webhookID(*found.Event)
		found.WebhookID = &id
	}
	return found, err
}

// CallbackSecret is what an organisation's callbacks are signed with.
type CallbackSecret struct {
	Secret string `json:"secret" doc:"whsec_ and, in base64, the key of HMAC-SHA256"`
}

// Secret gives the secret of the caller's organisation. It is derived from
// ENCRYPTION_SECRET and stored nowhere.
func (c *Callbacks) Secret(caller services.Caller) CallbackSecret {
	return CallbackSecret{"whsec_" + base64.StdEncoding.EncodeToString(c.ring.Key(purposeOf(caller.Organization.String())))}
}

// purposeOf is what an organisation's key is derived for.
func purposeOf(organization string) string { return "job callbacks of " + organization }
