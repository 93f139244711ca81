package prove

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"uaol/app/client"
)

// customers are the organisations that run the jobs; the last one is poor, and
// gets to the end of its credits.
const customers = 4

const (
	rich = 1_000_000 // credits
	poor = 1_000     // for half of the jobs of a proof of 2,000
)

// customer is one of them.
type customer struct {
	id    string
	key   string
	given int64 // credits, in all
}

// everybody is those who use the server: they speak to whichever process answers,
// and repeat what was not answered.
type everybody struct {
	fleet     *fleet
	admin     string
	customers [customers]customer
	tools     []string // of each price
	http      *http.Client
}

// patience is how long a request is repeated: longer than everything that is done
// to the processes and the database.
const patience = 2 * time.Minute

// ask sends a request until a process answers it.
func (e *everybody) ask(ctx context.Context, key, once, method, path string, body, data any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s %s: nobody has answered for %s", method, path, patience))
	defer cancel()
	for {
		all := e.fleet.alive()
		var err error
		if len(all) > 0 {
			c := client.Client{Base: all[rand.IntN(len(all))].base, Key: key, HTTP: e.http}
			err = c.DoOnce(ctx, once, method, path, body, data)
			var refused *client.Refusal
			if err == nil || errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(10*time.Millisecond + rand.N(40*time.Millisecond)):
		}
	}
}

// arrive registers the customers and the tools.
func (e *everybody) arrive(ctx context.Context, tool string) error {
	for i := range e.customers {
		var registered struct {
			User struct {
				ID     string `json:"id"`
				APIKey string `json:"apiKey"`
			} `json:"user"`
		}
		email := fmt.Sprintf("customer-%d@prove.example", i)
		if err := e.ask(ctx, "", "", http.MethodPost, "/auth/register", map[string]string{"email": email}, &registered); err != nil {
			return err
		}
		e.customers[i].id, e.customers[i].key = registered.User.ID, registered.User.APIKey
		if err := e.fund(ctx, i); err != nil {
			return err
		}
	}
	for _, price := range prices {
		var made struct {
			ID string `json:"tool_id"`
		}
		offer := map[string]any{"name": fmt.Sprintf("proof %d", price), "gateway_url": tool, "credit_cost_per_call": price, "visibility": "public"}
		if err := e.ask(ctx, e.customers[0].key, "", http.MethodPost, "/tools", offer, &made); err != nil {
			return err
		}
		if err := e.ask(ctx, e.admin, "", http.MethodPost, "/tools/"+made.ID+"/approve", nil, nil); err != nil {
			return err
		}
		e.tools = append(e.tools, made.ID)
	}
	return nil
}

// fund makes a customer rich, or poor.
func (e *everybody) fund(ctx context.Context, i int) error {
	c := &e.customers[i]
	first, err := e.balance(ctx, i)
	if err != nil {
		return err
	}
	if c.given = rich; i == customers-1 {
		c.given = poor
	}
	correction := map[string]any{"userId": c.id, "amount": c.given - first, "reason": "the proof"}
	path := "/credits/grant"
	if c.given < first {
		path, correction["amount"] = "/credits/deduct", first-c.given
	}
	return e.ask(ctx, e.admin, "", http.MethodPost, path, correction, nil)
}

func (e *everybody) balance(ctx context.Context, i int) (int64, error) {
	var b struct {
		Credits int64 `json:"credits,string"`
	}
	err := e.ask(ctx, e.customers[i].key, "", http.MethodGet, "/credits/balance", nil, &b)
	return b.Credits, err
}
