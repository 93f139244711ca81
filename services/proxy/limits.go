package proxy

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/google/uuid"

	"uaol/providers/limits"
	"uaol/services"
	"uaol/services/registry"
)

// Limits is how many calls are made in a minute.
type Limits struct {
	cfg     Config
	limiter *limits.Limiter
}

// NewLimits makes a Limits.
func NewLimits(cfg Config, limiter *limits.Limiter) *Limits {
	return &Limits{cfg: cfg, limiter: limiter}
}

// LimitScope is what a limit counts the calls of.
type LimitScope string

// The scopes.
const (
	LimitUserAndTool  LimitScope = "user_and_tool"
	LimitUser         LimitScope = "user"
	LimitOrganization LimitScope = "organization"
	LimitTool         LimitScope = "tool"
)

// LimitReached is the details of a refusal.
type LimitReached struct {
	Scope      LimitScope `json:"limit"`
	PerMinute  int        `json:"perMinute"`
	RetryAfter int        `json:"retryAfterSeconds"`
}

// Take counts one call; kind Limited, with LimitReached, when it is one too many.
// The narrowest limit is asked first: what a single caller may not do counts
// against nobody else.
func (l *Limits) Take(ctx context.Context, caller services.Caller, offer registry.Offer) error {
	perTool, perUserAndTool := l.cfg.PerTool, l.cfg.PerUserAndTool
	if own := offer.Limits; own != nil && own.PerMinute > 0 {
		perTool = own.PerMinute
	}
	if own := offer.Limits; own != nil && own.PerUser > 0 {
		perUserAndTool = own.PerUser
	}
	account, tool := keyOf("calls:user:", caller.Account), keyOf("calls:tool:", offer.ToolID)
	scopes := [...]LimitScope{LimitUserAndTool, LimitUser, LimitOrganization, LimitTool}
	buckets := []limits.Bucket{
		{Key: account + tool, PerMinute: perUserAndTool},
		{Key: account, PerMinute: l.cfg.PerUser},
		{Key: keyOf("calls:organization:", caller.Organization), PerMinute: l.cfg.PerOrganization},
		{Key: tool, PerMinute: perTool},
	}
	err := l.limiter.Take(ctx, buckets)
	var exceeded *limits.Exceeded
	if !errors.As(err, &exceeded) {
		return err
	}
	for i, b := range buckets {
		if b.Key == exceeded.Bucket.Key {
			return refusal(scopes[i], exceeded, offer)
		}
	}
	return err
}

// keyOf names a bucket; each call makes several.
func keyOf(what string, id uuid.UUID) string {
	var space [64]byte
	return string(hex.AppendEncode(append(space[:0], what...), id[:]))
}

func refusal(scope LimitScope, exceeded *limits.Exceeded, offer registry.Offer) error {
	whose := map[LimitScope]string{
		LimitUserAndTool: "your calls of " + offer.Name, LimitUser: "your calls",
		LimitOrganization: "your organisation's calls", LimitTool: "all calls of " + offer.Name + " together",
	}[scope]
	return services.Errorf(services.Limited, "Rate limit exceeded: %s may be at most %d in a minute", whose, exceeded.Bucket.PerMinute).
		WithDetails(LimitReached{Scope: scope, PerMinute: exceeded.Bucket.PerMinute, RetryAfter: exceeded.Seconds()})
}
