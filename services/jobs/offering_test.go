package jobs

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services/billing"
	"uaol/services/registry"
)

// offering is a registry with one tool.
type offering struct {
	registry.Catalog
	offer registry.Offer
}

func (o offering) Offers(context.Context, registry.ToolsRequest) ([]registry.Offer, error) {
	return []registry.Offer{o.offer}, nil
}

func offered(price int64) (registry.Offer, uuid.UUID) {
	id := uuid.New()
	o := registry.Offer{ToolID: id, Version: 1, Pinned: true, Methods: []registry.Method{
		{Method: upstream.Method{Name: "do", Annotations: &upstream.Annotations{Idempotent: true}}}}}
	o.Visibility = registry.Public
	o.Price = price
	return o, id
}

func (b *bench) grantMuch(t testing.TB) {
	t.Helper()
	_, err := b.meter.Balance(t.Context(), billing.BalanceRequest{Caller: b.caller})
	require.NoError(t, err)
	b.exec(t, `INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
		SELECT organization_id, last_seq + 1, 'test', 'grant', 2000000000000, available + 2000000000000, now() FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization)
	b.exec(t, `UPDATE uaol_billing.accounts SET last_seq = last_seq + 1, available = available + 2000000000000, grants = grants + 2000000000000 WHERE organization_id = $1`, b.caller.Organization)
}
