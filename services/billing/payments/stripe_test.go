package payments

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func ago() time.Time { return time.Now().Add(-30 * 24 * time.Hour) }

// shop is a small Stripe of a test's own: it has lists, pages them, and writes
// down what it is told to do.
type shop struct {
	*httptest.Server
	mu      sync.Mutex
	lists   map[string][]object                    // by path
	answers map[string]func(url.Values) (int, any) // by method and path
	told    []string                               // method, path and idempotency key of what is to change something
	keys    map[string]any                         // answers by idempotency key, as Stripe keeps them
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{lists: map[string][]object{}, answers: map[string]func(url.Values) (int, any){}, keys: map[string]any{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm()
	status, answer := http.StatusOK, any(nil)
	key := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodGet {
		if _, err := uuid.Parse(key); err == nil {
			key = "-" // the library's own
		}
		s.told = append(s.told, r.Method+" "+r.URL.Path+" "+key)
	}
	if kept, ok := s.keys[key]; ok {
		answer = kept
	} else if f := s.answers[r.Method+" "+r.URL.Path]; f != nil {
		status, answer = f(r.Form)
	} else if list, ok := s.lists[r.URL.Path]; ok && r.Method == http.MethodGet {
		answer = page(r.URL.Path, list, r.Form.Get("starting_after"))
	} else if r.Method == http.MethodGet {
		status, answer = http.StatusNotFound, failure("invalid_request_error", "resource_missing", "No such thing")
	} else {
		parts := strings.Split(r.URL.Path, "/")
		answer = object{"id": fmt.Sprintf("%s_%d", parts[2], len(s.told)), "url": "https://stripe.test/" + parts[2], "status": "active"}
	}
	if key != "" && key != "-" {
		s.keys[key] = answer
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func page(path string, list []object, after string) object {
	for i, o := range list {
		if o["id"] == after {
			list = list[i+1:]
			break
		}
	}
	const size = 2
	return object{"object": "list", "url": path, "has_more": len(list) > size, "data": append([]object{}, list[:min(size, len(list))]...)}
}

func failure(kind, code, message string) object {
	return object{"error": object{"type": kind, "code": code, "message": message}}
}

func (s *shop) said(prefix string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.told {
		if strings.HasPrefix(line, prefix) {
			found = append(found, line)
		}
	}
	return found
}

// TestOneCustomer: people of one organisation who buy at the same moment are one
// customer, told once.
func TestOneCustomer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := setup(t, s.URL)
	organization := uuid.New()
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			_, err := b.service.Checkout(t.Context(), Buyer{Organization: organization, Email: fmt.Sprintf("%d@example.com", i)}, "small")
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	require.Contains(t, s.said("POST /v1/customers "), "POST /v1/customers customer/"+organization.String())
	id, err := b.service.store.customer(t.Context(), organization)
	require.NoError(t, err)
	require.NotEmpty(t, id)
	require.Len(t, s.said("POST /v1/checkout/sessions"), 8)
}

// TestOneSubscription: of many who subscribe at once one does, and Stripe's word
// counts when ours is not there yet.
func TestOneSubscription(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := setup(t, s.URL)
	organization := uuid.New()
	made := 0
	s.lists["/v1/subscriptions"] = nil
	s.answers["POST /v1/subscriptions"] = func(form url.Values) (int, any) {
		made++
		sub := object{"id": fmt.Sprintf("sub_%d", made), "status": "active", "metadata": object{"organization_id": form.Get("metadata[organization_id]")}}
		s.lists["/v1/subscriptions"] = append(s.lists["/v1/subscriptions"], sub)
		return http.StatusOK, sub
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	kinds := map[services.Kind]int{}
	for i := range 10 {
		wait.Go(func() {
			_, err := b.service.Subscribe(t.Context(), Buyer{Organization: organization}, Pro, fmt.Sprintf("pm_%d", i))
			mu.Lock()
			defer mu.Unlock()
			kinds[services.KindOf(err)]++
		})
	}
	wait.Wait()
	require.Equal(t, map[services.Kind]int{"": 1, services.Conflict: 9}, kinds)
	require.Equal(t, 1, made)

	// The process died before it wrote the subscription down.
	_, err := b.pool.Exec(t.Context(), `DELETE FROM uaol_billing.subscriptions`)
	require.NoError(t, err)
	for _, method := range []string{"", "pm_x"} {
		_, err = b.service.Subscribe(t.Context(), Buyer{Organization: organization}, Pro, method)
		require.True(t, services.Is(err, services.Conflict), "%v", err)
		require.Equal(t, "SUBSCRIBED", api.CodeOf(err))
	}

	// One that was not paid is given up, and the next try is another request.
	s.mu.Lock()
	s.lists["/v1/subscriptions"] = []object{{"id": "sub_a", "status": "canceled", "metadata": object{"organization_id": organization}},
		{"id": "sub_other", "status": "active", "items": object{"data": []object{{"price": object{"id": "price_magazine"}}}}},
		{"id": "sub_b", "status": "incomplete", "items": object{"data": []object{{"price": object{"id": "price_pro"}}}}}}
	s.answers["POST /v1/subscriptions"] = func(url.Values) (int, any) {
		return http.StatusOK, object{"id": "sub_c", "status": "incomplete", "latest_invoice": object{"id": "in", "hosted_invoice_url": "https://stripe.test/pay"}}
	}
	s.mu.Unlock()
	started, err := b.service.Subscribe(t.Context(), Buyer{Organization: organization}, Pro, "pm_y")
	require.NoError(t, err)
	require.Equal(t, Started{Subscription: &Subscription{ID: "sub_c", Tier: Pro, Status: "incomplete"}, URL: "https://stripe.test/pay"}, started)
	require.Len(t, s.said("DELETE /v1/subscriptions/sub_b"), 1)
	require.Contains(t, s.said("POST /v1/subscriptions "), "POST /v1/subscriptions subscription/"+organization.String()+"/price_pro/pm_y/2")
}

func TestUnconfigured(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	organization := uuid.New()
	b := with(t, pool, "", map[string]string{"STRIPE_SECRET_KEY": ""})
	calls := map[string]func(*Service) error{
		"packs": func(s *Service) error { _, err := s.Packs(); return err },
		"checkout": func(s *Service) error {
			_, err := s.Checkout(t.Context(), Buyer{Organization: organization}, "small")
			return err
		},
		"subscribe": func(s *Service) error {
			_, err := s.Subscribe(t.Context(), Buyer{Organization: organization}, Pro, "")
			return err
		},
		"portal":       func(s *Service) error { _, err := s.Portal(t.Context(), Buyer{Organization: organization}); return err },
		"cancel":       func(s *Service) error { _, err := s.Cancel(t.Context(), organization); return err },
		"subscription": func(s *Service) error { _, err := s.Subscription(t.Context(), organization); return err },
		"webhook":      func(s *Service) error { return s.Webhook(t.Context(), []byte("{}"), "") },
		"reconcile":    func(s *Service) error { _, err := s.Reconcile(t.Context(), ago()); return err },
	}
	for name, call := range calls {
		err := call(b.service)
		require.EqualError(t, err, "Payments are not configured; set STRIPE_SECRET_KEY", name)
		require.Equal(t, services.Unavailable, services.KindOf(err), name)
		require.Equal(t, "BILLING_NOT_CONFIGURED", api.CodeOf(err), name)
	}
	require.False(t, b.service.Configured())
	b = with(t, pool, "", map[string]string{"STRIPE_WEBHOOK_SECRET": "", "UAOL_STRIPE_PRICE_PRO": ""})
	require.EqualError(t, calls["webhook"](b.service), "Payments are not configured; set STRIPE_WEBHOOK_SECRET")
	require.EqualError(t, calls["subscribe"](b.service), "Payments are not configured; set UAOL_STRIPE_PRICE_PRO")
	packs, err := b.service.Packs()
	require.NoError(t, err)
	require.Len(t, packs, 2)
}

// TestErrors: each of Stripe's refusals has its kind, and none shows a secret,
// whoever repeats it.
func TestErrors(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := setup(t, s.URL)
	organization := uuid.New()
	for name, test := range map[string]struct {
		status     int
		kind, code string
		want       services.Kind
	}{
		"key":      {401, "invalid_request_error", "", services.Upstream},
		"rights":   {403, "invalid_request_error", "", services.Upstream},
		"card":     {402, "card_error", "card_declined", services.Insufficient},
		"request":  {400, "invalid_request_error", "parameter_invalid", services.Upstream},
		"same key": {400, "idempotency_error", "", services.Conflict},
		"busy":     {429, "rate_limit", "", services.Upstream},
	} {
		s.mu.Lock()
		s.answers["POST /v1/checkout/sessions"] = func(url.Values) (int, any) {
			refusal := failure(test.kind, test.code, "Not with "+key+" and "+signedWith)
			refusal["error"].(object)["payment_intent"] = object{"id": "pi", "client_secret": "pi_MARKER_secret"}
			return test.status, refusal
		}
		s.mu.Unlock()
		_, err := b.service.Checkout(t.Context(), Buyer{Organization: organization}, "small")
		require.Equal(t, test.want, services.KindOf(err), name)
		require.NotContains(t, fmt.Sprintf("%v %+v %s", err, err, api.MessageOf(err)), "MARKER", name)
		require.False(t, services.Is(err, services.Internal))
	}
	s.mu.Lock()
	s.answers["POST /v1/payment_methods/pm_x/attach"] = func(url.Values) (int, any) {
		return http.StatusNotFound, failure("invalid_request_error", "resource_missing", "No such PaymentMethod")
	}
	s.lists["/v1/subscriptions"] = nil
	s.mu.Unlock()
	_, err := b.service.Subscribe(t.Context(), Buyer{Organization: organization}, Pro, "pm_x")
	require.EqualError(t, err, "body.paymentMethodId: is no payment method that Stripe knows")

	// What the turn was taken for failed, but it was given back.
	s.mu.Lock()
	delete(s.answers, "POST /v1/payment_methods/pm_x/attach")
	s.mu.Unlock()
	_, err = b.service.Subscribe(t.Context(), Buyer{Organization: organization}, Pro, "pm_x")
	require.NoError(t, err)

	nowhere := with(t, b.pool, "http://127.0.0.1:1", nil)
	_, err = nowhere.service.Checkout(t.Context(), Buyer{Organization: organization}, "small")
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.NotContains(t, err.Error(), "MARKER")
}

// TestNothingElseIsTold: no telemetry, and the key only where it belongs.
func TestNothingElseIsTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []*http.Request
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen, bodies = append(seen, r), append(bodies, string(body))
		_, _ = io.WriteString(w, `{"id":"x","url":"https://stripe.test"}`)
	}))
	t.Cleanup(server.Close)
	b := setup(t, server.URL)
	for range 2 {
		_, err := b.service.Checkout(t.Context(), Buyer{Organization: uuid.New(), Email: "ada@example.com"}, "small")
		require.NoError(t, err)
		_, err = b.pool.Exec(t.Context(), `DELETE FROM uaol_billing.customers`)
		require.NoError(t, err)
	}
	for i, r := range seen {
		require.Equal(t, "Bearer "+key, r.Header.Get("Authorization"))
		require.Empty(t, r.Header.Get("X-Stripe-Client-Telemetry"))
		require.NotContains(t, r.URL.String()+bodies[i], "MARKER")
	}
	form, err := url.ParseQuery(bodies[2])
	require.NoError(t, err)
	require.Equal(t, "payment", form.Get("mode"))
	require.Equal(t, "1000", form.Get("metadata[credits]"))
	require.Equal(t, form.Get("metadata[organization_id]"), form.Get("payment_intent_data[metadata][organization_id]"))
	require.Equal(t, frontend+"/billing?checkout=success&session_id={CHECKOUT_SESSION_ID}", form.Get("success_url"))
}
