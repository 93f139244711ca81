package payments

import (
	"bufio"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/goprogram"
	"uaol/services"
)

const mockVersion = "v0.203.0"

// mock starts Stripe's own mock, which checks requests against Stripe's OpenAPI
// document, and gives its address. It is built once per user.
func mock(t testing.TB) string {
	t.Helper()
	program := goprogram.Installed(t, "github.com/stripe/stripe-mock", mockVersion)
	cmd := exec.Command(program, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); ok {
			go func() { // or it would wait for somebody to read its log
				for lines.Scan() {
				}
			}()
			return "http://" + address
		}
	}
	t.Fatalf("stripe-mock ended: %v", lines.Err())
	return ""
}

// TestRequests makes every request of the API to Stripe's mock.
func TestRequests(t *testing.T) {
	t.Parallel()
	b := setup(t, mock(t))
	organization := uuid.New()
	_, err := b.service.Portal(t.Context(), Buyer{Organization: organization})
	require.True(t, services.Is(err, services.NotFound), "%v", err)

	for _, pack := range []string{"small", "large"} {
		session, err := b.service.Checkout(t.Context(), Buyer{Organization: organization, Email: "ada@example.com"}, pack)
		require.NoError(t, err)
		require.NotEmpty(t, session.ID)
	}
	_, err = b.service.Checkout(t.Context(), Buyer{Organization: organization, Email: "ada@example.com"}, "none")
	require.ErrorContains(t, err, "body.pack: must be one of small, large")

	started, err := b.service.Subscribe(t.Context(), Buyer{Organization: organization, Email: "ada@example.com"}, Pro, "")
	require.NoError(t, err)
	require.NotEmpty(t, started.ID)
	require.Nil(t, started.Subscription)

	portal, err := b.service.Portal(t.Context(), Buyer{Organization: organization})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(portal, "http"), portal)

	_, err = b.service.Cancel(t.Context(), organization)
	require.True(t, services.Is(err, services.NotFound), "%v", err)
	_, err = b.service.Subscription(t.Context(), organization)
	require.True(t, services.Is(err, services.NotFound), "%v", err)

	started, err = b.service.Subscribe(t.Context(), Buyer{Organization: organization, Email: "ada@example.com"}, Enterprise, "pm_card_visa")
	require.NoError(t, err)
	require.Equal(t, Enterprise, started.Subscription.Tier)
	known, err := b.service.Subscription(t.Context(), organization)
	require.NoError(t, err)
	require.Equal(t, started.Subscription.ID, known.ID)
	require.True(t, started.Subscription.PeriodEnd.Equal(known.PeriodEnd.Time))

	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_billing.subscriptions SET status = 'active', cancel_at_period_end = false`)
	require.NoError(t, err)
	_, err = b.service.Subscribe(t.Context(), Buyer{Organization: organization, Email: "ada@example.com"}, Pro, "pm_card_visa")
	require.True(t, services.Is(err, services.Conflict), "%v", err)
	ending, err := b.service.Cancel(t.Context(), organization)
	require.NoError(t, err)
	require.True(t, ending.CancelAtPeriodEnd)
	known, err = b.service.Subscription(t.Context(), organization)
	require.NoError(t, err)
	require.True(t, known.CancelAtPeriodEnd)

	for _, wrong := range [][2]string{{"Free", ""}, {"", "pm_x"}, {Pro, "pm_x\nX"}} {
		_, err = b.service.Subscribe(t.Context(), Buyer{Organization: organization, Email: "ada@example.com"}, wrong[0], wrong[1])
		require.True(t, services.Is(err, services.Invalid), "%v", err)
	}
	_, err = b.service.Reconcile(t.Context(), ago())
	require.NoError(t, err)

	response, err := http.Get(b.service.cfg.URL + "/v1/customers") // it does look at what it is sent
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}
