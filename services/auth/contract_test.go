package auth

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestVerifier runs the interface's contract over both of its bodies.
func TestVerifier(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		verifierContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, routes(b.routes()).Routes.Operations...)
		client, err := NewClient(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, err)
		t.Cleanup(client.peer.Close)
		verifierContract(t, b, client)
	})
}

func verifierContract(t *testing.T, b *bench, verifier Verifier) {
	ctx := t.Context()
	made, err := b.service.Register(ctx, RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	caller := made.Account.Caller()
	require.Equal(t, services.RoleUser, caller.Role)
	session, key := caller, caller
	token, err := b.service.signer.read(made.Token)
	require.NoError(t, err)
	session.Session = token.ID
	keys, err := b.service.Keys(ctx, caller)
	require.NoError(t, err)
	key.Key = keys[0].ID
	want, wantKey := Verified{Caller: session}, Verified{Caller: key}

	for name, test := range map[string]struct {
		in   VerifyRequest
		want Verified
		err  peerstest.Parts
	}{
		"nothing":             {},
		"a token":             {in: VerifyRequest{Bearer: made.Token}, want: want},
		"a key as a token":    {in: VerifyRequest{Bearer: made.Key}, want: wantKey},
		"a key":               {in: VerifyRequest{APIKey: made.Key}, want: wantKey},
		"the token counts":    {in: VerifyRequest{Bearer: made.Token, APIKey: "bad", GuestID: "g", Guest: true}, want: want},
		"the key counts":      {in: VerifyRequest{APIKey: made.Key, GuestID: "g", Guest: true}, want: wantKey},
		"guests unwelcome":    {in: VerifyRequest{GuestID: "g"}},
		"a bad token":         {in: VerifyRequest{Bearer: "bad"}, err: peerstest.Parts{Kind: services.Unauthenticated, Message: "Invalid token", Details: "null"}},
		"a tampered token":    {in: VerifyRequest{Bearer: made.Token + "x"}, err: peerstest.Parts{Kind: services.Unauthenticated, Message: "Invalid token", Details: "null"}},
		"a bad key":           {in: VerifyRequest{APIKey: "bad"}, err: peerstest.Parts{Kind: services.Unauthenticated, Message: "Invalid API key", Details: "null"}},
		"a bad key, no guest": {in: VerifyRequest{APIKey: "bad", GuestID: "g", Guest: true}, err: peerstest.Parts{Kind: services.Unauthenticated, Message: "Invalid API key", Details: "null"}},
		"a long guest id": {in: VerifyRequest{Guest: true, GuestID: strings.Repeat("g", 129)}, err: peerstest.Parts{
			Kind: services.Invalid, Message: "header.X-Guest-Id: must be a text of at most 128 characters",
			Details: `[{"path":"header.X-Guest-Id","message":"must be a text of at most 128 characters"}]`}},
		"a bad organisation": {in: VerifyRequest{APIKey: made.Key, Organization: "acme"}, err: peerstest.Parts{
			Kind: services.Invalid, Message: "header.X-Organization: is not a UUID",
			Details: `[{"path":"header.X-Organization","message":"is not a UUID"}]`}},
		"a foreign organisation": {in: VerifyRequest{Bearer: made.Token, Organization: uuid.NewString()}, err: peerstest.Parts{
			Kind: services.Forbidden, Message: "You are not a member of this organisation", Details: "null"}},
		"the own organisation": {in: VerifyRequest{Bearer: made.Token, Organization: caller.Organization.String()}, want: want},
		"a NUL in the guest id": {in: VerifyRequest{Guest: true, GuestID: "g\x00"}, err: peerstest.Parts{
			Kind: services.Invalid, Message: "A text holds a character that cannot be stored", Details: "null"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verifier.Verify(ctx, test.in)
			require.Equal(t, test.err, peerstest.PartsOf(t, err))
			require.Equal(t, test.want, got)
		})
	}

	guest, err := verifier.Verify(ctx, VerifyRequest{Guest: true, GuestID: "the client's own"})
	require.NoError(t, err)
	require.Equal(t, services.RoleGuest, guest.Caller.Role)
	require.Equal(t, "the client's own", guest.GuestID)
	again, err := verifier.Verify(ctx, VerifyRequest{Guest: true, GuestID: "the client's own"})
	require.NoError(t, err)
	require.Equal(t, guest, again)
	first, err := verifier.Verify(ctx, VerifyRequest{Guest: true})
	require.NoError(t, err)
	require.NotEmpty(t, first.GuestID)
	require.NotEqual(t, uuid.Nil, first.Caller.Organization)
	second, err := verifier.Verify(ctx, VerifyRequest{Guest: true})
	require.NoError(t, err)
	require.NotEqual(t, first, second)

	// A session that is over begins anew under another name.
	_, err = b.pool.Exec(ctx, `UPDATE uaol_auth.accounts SET guest_expires_at = now() WHERE guest_id = $1`, first.GuestID)
	require.NoError(t, err)
	anew, err := verifier.Verify(ctx, VerifyRequest{Guest: true, GuestID: first.GuestID})
	require.NoError(t, err)
	require.NotEqual(t, first.GuestID, anew.GuestID)
	require.NotEqual(t, first.Caller.Account, anew.Caller.Account)

	// A database that is down is no bad token.
	b.pool.Close()
	for _, in := range []VerifyRequest{{Bearer: made.Token}, {APIKey: made.Key}, {Guest: true}, {Guest: true, GuestID: "g"}} {
		_, err = verifier.Verify(ctx, in)
		require.Equal(t, peerstest.Parts{Kind: services.Unavailable, Message: "The database cannot be reached; try again", Details: "null"}, peerstest.PartsOf(t, err))
	}
}
