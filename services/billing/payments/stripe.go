package payments

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"uaol/services"
)

const stripeTimeout = 30 * time.Second // of one request

// newClient makes a client that tells Stripe nothing but what it is asked and
// logs nothing: what the library logs holds whole requests.
func newClient(cfg Config) (*stripe.Client, *http.Transport) {
	transport := &http.Transport{
		Proxy:               cfg.Through(),
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     30 * time.Second,
		MaxIdleConnsPerHost: 8,
		ForceAttemptHTTP2:   true,
	}
	return stripe.NewClient(cfg.SecretKey, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		EnableTelemetry: new(false),
		HTTPClient: &http.Client{
			Transport:     transport,
			Timeout:       stripeTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		URL:           new(cfg.URL),
	}))), transport
}

// says gives an error of Stripe's a kind, and for the log what may be read there:
// the library's own text is everything that was answered, clients' secrets too.
func (s *Service) says(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e *stripe.Error
	if !errors.As(err, &e) {
		return services.Errorf(services.Upstream, "Stripe cannot be reached; try again").Because(s.veiled(err.Error()))
	}
	cause := s.veiled(fmt.Sprintf("Stripe answered %d %s %s %q to %s: %s", e.HTTPStatusCode, e.Type, e.Code, e.Param, e.RequestID, e.Msg))
	switch {
	case e.HTTPStatusCode == http.StatusUnauthorized, e.HTTPStatusCode == http.StatusForbidden:
		// Its message repeats parts of the key.
		return services.Errorf(services.Upstream, "Stripe does not accept this installation's key").
			Because(s.veiled(fmt.Sprintf("STRIPE_SECRET_KEY: Stripe answered %d to %s", e.HTTPStatusCode, e.RequestID)))
	case e.Type == stripe.ErrorTypeCard: // its message is meant for whoever pays
		return services.Errorf(services.Insufficient, "%s", s.veiled(e.Msg)).WithCode("PAYMENT_FAILED").Because(cause)
	case e.Type == stripe.ErrorTypeIdempotency, e.HTTPStatusCode == http.StatusConflict:
		return services.Errorf(services.Conflict, "The same is being done just now; try again in a moment").Because(cause)
	case e.HTTPStatusCode == http.StatusTooManyRequests, e.HTTPStatusCode >= http.StatusInternalServerError:
		return services.Errorf(services.Upstream, "Stripe cannot serve this just now; try again").Because(cause)
	case e.Param == "payment_method":
		return services.Faults(services.Fault{Path: "body.paymentMethodId", Message: "is no payment method that can be used"}).Because(cause)
	}
	return services.Errorf(services.Upstream, "Stripe refused this").Because(cause)
}

// missing reports whether Stripe does not know what it was asked about.
func missing(err error) bool {
	var e *stripe.Error
	return errors.As(err, &e) && e.Code == stripe.ErrorCodeResourceMissing
}

// veiled is a text without our secrets.
func (s *Service) veiled(text string) error {
	for _, secret := range []string{s.cfg.SecretKey, s.cfg.WebhookSecret} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	return errors.New(text)
}
