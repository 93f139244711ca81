package limits

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/services"
)

// Rates tells how many requests a minute an organisation's plan brings; 0 for no
// limit, and while nobody knows.
type Rates interface {
	Rate(ctx context.Context, organization uuid.UUID) int
}

// Requests counts what comes in at the gateway: by address what carries no
// credentials or wrong ones, by account and by plan all else.
type Requests struct {
	*Limiter
	rates    Rates // nil for none
	suspects *otter.Cache[string, struct{}]
	good     *otter.Cache[string, struct{}] // by their hashes
}

// suspicion is how long an address is under suspicion after it has used up what it
// may get wrong, and how long a credential that was right is spared meanwhile.
const suspicion = time.Minute

// NewRequests makes a Requests.
func NewRequests(l *Limiter, rates Rates) *Requests {
	return &Requests{
		Limiter:  l,
		rates:    rates,
		suspects: forAWhile(),
		good:     forAWhile(),
	}
}

func forAWhile() *otter.Cache[string, struct{}] {
	return otter.Must(&otter.Options[string, struct{}]{MaximumSize: 100_000, ExpiryCalculator: otter.ExpiryWriting[string, struct{}](suspicion)})
}

// Close ends the caches' own goroutines.
func (r *Requests) Close() {
	r.suspects.StopAllGoroutines()
	r.good.StopAllGoroutines()
}

// named is a bucket with what RateLimit-Policy calls it.
type named struct {
	name string
	Bucket
}

// begin adds an item of a list to a header's value.
func (n named) begin(list []byte, what string, value int) []byte {
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	list = strconv.AppendQuote(list, n.name)
	return strconv.AppendInt(append(list, what...), int64(value), 10)
}

// Allow counts one request; kind Limited when the caller has used up its share.
// The narrowest limit is asked first.
func (r *Requests) Allow(c *gin.Context, caller services.Caller) error {
	if !caller.Known() {
		return r.count(c, r.address(c))
	}
	rate := 0
	if r.rates != nil {
		rate = r.rates.Rate(c.Request.Context(), caller.Organization)
	}
	account := named{"account", Bucket{Key: "requests::account:" + caller.Account.String(), PerMinute: max(r.perMinute, rate)}}
	if rate == 0 {
		return r.count(c, account)
	}
	return r.count(c, account, named{"plan", Bucket{Key: "requests::plan:" + caller.Organization.String(), PerMinute: rate}})
}

func (r *Requests) address(c *gin.Context) named {
	return named{"address", Bucket{Key: "requests::address:" + services.OriginFrom(c.Request.Context()).Address, PerMinute: r.perAddress}}
}

// AllowTo counts one request of a kind that has a limit of its own.
func (r *Requests) AllowTo(c *gin.Context, caller services.Caller, what string, perMinute int) error {
	return r.count(c, named{"operation", Bucket{Key: "requests:" + what + ":account:" + caller.Account.String(), PerMinute: perMinute}})
}

// Attempt lets a credential be tried. Wrong ones count against their address. One
// that has used that up is under suspicion: whatever it tries then counts before it
// is tried, so that even a right guess has to wait its turn; but for credentials
// that were right a moment ago, since others may share the address.
func (r *Requests) Attempt(c *gin.Context, secret string, try func() error) error {
	from := r.address(c)
	_, suspect := r.suspects.GetIfPresent(from.Key)
	counted := false
	var key string
	if suspect {
		sum := sha256.Sum256([]byte(from.Key + " " + secret))
		key = string(sum[:])
		if _, good := r.good.GetIfPresent(key); !good {
			if err := r.count(c, from); err != nil {
				r.suspects.Set(from.Key, struct{}{})
				return err
			}
			counted = true
		}
	}
	err := try()
	switch {
	case services.Is(err, services.Unauthenticated) && !counted:
		if limit := r.count(c, from); limit != nil {
			r.suspects.Set(from.Key, struct{}{})
			return limit
		}
	case err == nil && suspect:
		r.good.Set(key, struct{}{})
	}
	return err
}

// count takes a token out of each bucket and says so in the answer's headers:
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/.
func (r *Requests) count(c *gin.Context, buckets ...named) error {
	plain := make([]Bucket, len(buckets))
	header := c.Writer.Header()
	policies := append([]byte(nil), header.Get("RateLimit-Policy")...) // of what was counted before
	for i, b := range buckets {
		plain[i] = b.Bucket
		policies = b.begin(policies, ";q=", b.PerMinute)
		policies = append(policies, ";w=60"...)
	}
	states, err := r.Count(c.Request.Context(), plain)
	left := append([]byte(nil), header.Get("RateLimit")...)
	for i, s := range states {
		left = buckets[i].begin(left, ";r=", s.Left)
		left = append(left, ";t="...)
		left = strconv.AppendInt(left, int64(math.Ceil(s.Full.Seconds())), 10)
	}
	c.Header("RateLimit-Policy", string(policies))
	c.Header("RateLimit", string(left))
	var exceeded *Exceeded
	if !errors.As(err, &exceeded) {
		return err
	}
	c.Header("Retry-After", strconv.Itoa(exceeded.Seconds()))
	return services.Errorf(services.Limited, "Rate limit exceeded. Maximum %d requests per minute.", exceeded.Bucket.PerMinute)
}
