package auth

import (
	"context"
	"crypto/sha256"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/providers/events"
	"uaol/services"
)

// Authenticator is the services.Authenticator of every process: it asks a
// Verifier, here or elsewhere, and keeps a positive answer for a moment.
type Authenticator struct {
	verifier Verifier
	known    *otter.Cache[[32]byte, remembered]
	changed  *otter.Cache[uuid.UUID, time.Time] // since when answers about an account or an organisation count no more
}

// remembered is what the Verifier said, and when it was asked.
type remembered struct {
	Verified
	asked time.Time
}

// remember is how long a positive answer is kept: so long, at most, a revoked
// credential still counts.
const remember = 3 * time.Second

// NewAuthenticator makes an Authenticator. When this process changes who may do
// what, answers about those concerned that were asked for before count no more;
// other processes hear of it through Redis (Revocations), or notice after remember.
func NewAuthenticator(verifier Verifier, bus *events.Bus) *Authenticator {
	a := &Authenticator{
		verifier: verifier,
		known: otter.Must(&otter.Options[[32]byte, remembered]{
			MaximumSize:      50_000,
			ExpiryCalculator: otter.ExpiryWriting[[32]byte, remembered](remember),
		}),
		changed: otter.Must(&otter.Options[uuid.UUID, time.Time]{ // longer than any answer under way
			MaximumSize:      200_000,
			ExpiryCalculator: otter.ExpiryWriting[uuid.UUID, time.Time](time.Minute),
		}),
	}
	bus.Subscribe(func(e events.Event) {
		account, err := uuid.Parse(e.Subject)
		if e.Type != accessChangedType || err != nil {
			return
		}
		a.Forget(account, e.Organization)
	})
	return a
}

// Forget makes answers about an account and an organisation, if it is one, that
// were asked for until now count no more.
func (a *Authenticator) Forget(account, organization uuid.UUID) {
	now := time.Now()
	for _, id := range [...]uuid.UUID{account, organization} {
		if id != uuid.Nil {
			a.changed.Set(id, now)
		}
	}
}

// counts reports whether nothing has changed since the answer was asked for.
func (a *Authenticator) counts(known remembered) bool {
	for _, id := range [...]uuid.UUID{known.Caller.Account, known.Caller.Organization} {
		if at, ok := a.changed.GetIfPresent(id); ok && !known.asked.After(at) {
			return false
		}
	}
	return true
}

// Authenticate implements services.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context, c services.Credentials) (services.Caller, string, error) {
	if c.Foreign {
		return services.Caller{}, "", services.Errorf(services.Unauthenticated, "No token provided")
	}
	in := VerifyRequest{
		Bearer: c.Bearer, APIKey: c.APIKey, GuestID: c.GuestID, Guest: c.Guest,
		Organization: c.Organization, Address: services.OriginFrom(ctx).Address, Resource: c.Resource, Family: c.Family,
	}
	if in.Bearer == "" && in.APIKey == "" && !in.Guest {
		return services.Caller{}, "", nil
	}
	if !utf8.ValidString(in.GuestID) || !utf8.ValidString(in.Bearer) || !utf8.ValidString(in.APIKey) {
		// Judged here: what carries the question to another process would mend them.
		if in.Bearer == "" && in.APIKey == "" {
			return services.Caller{}, "", errGuestID
		}
		return services.Caller{}, "", services.Errorf(services.Unauthenticated, "Invalid token")
	}
	key, cacheable := hash(in)
	if cacheable {
		if v, ok := a.known.GetIfPresent(key); ok && a.counts(v) {
			return v.Caller, v.GuestID, nil
		}
	}
	asked := time.Now()
	v, err := a.verifier.Verify(ctx, in)
	if err != nil {
		return services.Caller{}, "", err
	}
	if cacheable {
		a.known.Set(key, remembered{v, asked})
	}
	return v.Caller, v.GuestID, nil
}

// Close ends the caches' own goroutines.
func (a *Authenticator) Close() {
	a.known.StopAllGoroutines()
	a.changed.StopAllGoroutines()
}

// hash names a credential, and what it is shown for, without keeping it. A guest
// without a session is made anew each time.
func hash(in VerifyRequest) (key [32]byte, cacheable bool) {
	switch {
	case in.Bearer != "":
		return digest("bearer", in, in.Bearer), true
	case in.APIKey != "":
		return digest("key", in, in.APIKey), true
	case in.GuestID != "":
		return digest("guest", in, in.GuestID), true
	}
	return key, false
}

// digest tells each part's length: of what clients send, none may run into the next.
func digest(kind string, in VerifyRequest, secret string) [32]byte {
	text := make([]byte, 0, 256)
	for _, part := range [...]string{kind, in.Organization, in.Resource, in.Family, secret} {
		text = append(strconv.AppendInt(text, int64(len(part)), 10), ' ')
		text = append(text, part...)
	}
	return sha256.Sum256(text)
}
