package auth

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/services"
)

// roundTrips counts the statements that a pool sends.
type roundTrips struct{ n atomic.Int64 }

func (r *roundTrips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	r.n.Add(1)
	return ctx
}

func (*roundTrips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counted gives b's service a pool that counts.
func counted(t testing.TB, b *bench) *roundTrips {
	t.Helper()
	cfg, trips := b.pool.Config(), &roundTrips{} // a copy
	cfg.ConnConfig.Tracer, cfg.AfterConnect = trips, postgres.KnowUUIDs
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b.repository.pool = pool
	return trips
}

// credentialsOf everybody whose request carries some.
func credentialsOf(t testing.TB, b *bench) map[string]services.Credentials {
	t.Helper()
	made := b.made(t, uuid.NewString()+"@example.com")
	team := b.team(t, map[uuid.UUID]services.OrgRole{made.Account.ID: services.OrgMember})
	_, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "known"})
	require.NoError(t, err)
	return map[string]services.Credentials{
		"token":          {Bearer: made.Token},
		"token, team":    {Bearer: made.Token, Organization: team.String()},
		"key":            {APIKey: made.Key},
		"key as a token": {Bearer: made.Key},
		"guest":          {GuestID: "known", Guest: true},
	}
}

// TestAuthenticationCosts no round trip to the database when the answer is
// known, and one when it is not.
func TestAuthenticationCosts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := credentialsOf(t, b)
	trips := counted(t, b)
	for name, c := range all {
		for i, want := range []int64{1, 0, 0} {
			trips.n.Store(0)
			_, _, err := b.authenticator.Authenticate(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, want, trips.n.Load(), "%s, request %d", name, i)
		}
	}
	// Bad ones cost no more, and forged tokens nothing at all.
	for text, want := range map[string]int64{"uaol_unknown": 1, "ey.e30.x": 0} {
		trips.n.Store(0)
		_, _, err := b.authenticator.Authenticate(t.Context(), services.Credentials{Bearer: text})
		require.Equal(t, services.Unauthenticated, services.KindOf(err))
		require.Equal(t, want, trips.n.Load(), text)
	}
}

// BenchmarkAuthenticate with an answer that is known, and with one that the
// database has to give.
func BenchmarkAuthenticate(b *testing.B) {
	s := setup(b)
	for name, c := range credentialsOf(b, s) {
		b.Run("warm/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.authenticator.Authenticate(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("cold/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.authenticator.known.InvalidateAll()
				if _, _, err := s.authenticator.Authenticate(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
