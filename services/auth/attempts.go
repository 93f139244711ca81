package auth

import (
	"context"
	"crypto/sha256"
	"math"
	"net/netip"
	"time"

	"uaol/providers/postgres"
	"uaol/services"
)

// quota is how often something may happen in a time, by whatever the bucket
// stands for. Buckets are hashes: who failed to sign in is nobody's business.
type quota struct {
	bucket []byte
	most   int64
	within time.Duration
}

func newQuota(what, who string, most int64, within time.Duration) quota {
	sum := sha256.Sum256([]byte(what + "\x00" + who))
	return quota{bucket: sum[:], most: most, within: within}
}

func (q quota) seconds() int64 { return int64(q.within / time.Second) }

// signInTime is the time in which failed sign-ins are counted.
const signInTime = 15 * time.Minute

// signIns are the quotas of a try to sign in. The account's is counted whether
// or not there is such an account, and generously: filling it locks its owner
// out, so that takes many addresses.
func signIns(email, address string) []quota {
	address = network(address)
	return []quota{
		newQuota("sign-in from there", email+"\x00"+address, 10, signInTime),
		newQuota("sign-in", email, 100, signInTime),
		signInsFrom(address),
	}
}

// signInsFrom is the quota of all failed sign-ins from an address.
func signInsFrom(address string) quota {
	return newQuota("sign-ins", network(address), 100, signInTime)
}

// newAccounts is the quota of accounts and guests that an address may make: each
// comes with credits.
func (s *Service) newAccounts(address string) quota {
	most := int64(s.signups)
	if most == 0 || address == "" { // no limit, or a command of this machine
		most = math.MaxInt64
	}
	return newQuota("account", network(address), most, time.Hour)
}

var errTooManyAccounts = services.Errorf(services.Limited, "Too many new accounts and guests from this address; try again later")

// network is an address, or an IPv6 network: one customer has all of a /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap()
	if ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}

// countOne counts in bucket $1, which begins anew after $2 seconds.
const countOne = `
	INSERT INTO uaol_auth.attempts AS t (bucket, count, ends_at) VALUES ($1, 1, now() + $2 * interval '1 second')
	ON CONFLICT (bucket) DO UPDATE SET
		count = CASE WHEN t.ends_at <= now() THEN 1 ELSE t.count + 1 END,
		ends_at = CASE WHEN t.ends_at <= now() THEN excluded.ends_at ELSE t.ends_at END
	RETURNING count`

// take counts one try against each quota; false when one of them is used up.
// Counting comes before looking, so that tries made at once all count.
func (r *Repository) take(ctx context.Context, quotas ...quota) (bool, error) {
	for _, q := range quotas {
		count, err := postgres.Value[int64](ctx, r.pool, countOne, q.bucket, q.seconds())
		if err != nil || count > q.most {
			return false, err
		}
	}
	return true, nil
}

// giveBack takes a try back that was no failure.
func (r *Repository) giveBack(ctx context.Context, quotas ...quota) error {
	for _, q := range quotas {
		if _, err := postgres.Exec(ctx, r.pool, `
			UPDATE uaol_auth.attempts SET count = greatest(count - 1, 0) WHERE bucket = $1`, q.bucket); err != nil {
			return err
		}
	}
	return nil
}

// forgetAttempts drops counts whose time is over.
func (r *Repository) forgetAttempts(ctx context.Context) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_auth.attempts WHERE ends_at <= now()`)
	return err
}
