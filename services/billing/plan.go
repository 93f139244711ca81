package billing

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"uaol/providers/config"
	"uaol/services"
	"uaol/services/billing/chain"
)

// Tier is a plan's name, in the contract's words.
type Tier string

// The tiers.
const (
	Free       Tier = "Free"
	Pro        Tier = "Pro"
	Enterprise Tier = "Enterprise"
)

// Tiers lists the tiers, the smallest first.
func Tiers() []Tier { return []Tier{Free, Pro, Enterprise} }

// Holder is what kind of organisation an account was opened for.
type Holder string

// The holders. A shared organisation gets no credits for being made, or making
// organisations would make credits: its members move theirs, or it subscribes.
const (
	HolderGuest  Holder = "guest"
	HolderUser   Holder = "user"
	HolderShared Holder = "shared"
)

func holderOf(caller services.Caller) Holder {
	switch {
	case !caller.Personal:
		return HolderShared
	case caller.Role == services.RoleGuest:
		return HolderGuest
	}
	return HolderUser
}

// Plan is what a tier brings. 0 means as much as one likes, except of credits.
type Plan struct {
	Tier        Tier  `json:"tier"`
	Credits     int64 `json:"credits" doc:"a month; what is unused ends with it"`
	Storage     int64 `json:"storage" doc:"bytes"`
	Calls       int64 `json:"calls" doc:"charged tool calls a month"`
	Rate        int64 `json:"rate" doc:"requests a minute"`
	HistoryDays int64 `json:"historyDays" doc:"days that history and usage go back"`
	FileDays    int64 `json:"fileDays" doc:"days that files are kept"`
}

// calls is how many a month has; nil for as many as one likes.
func (p Plan) calls() *int64 {
	if p.Calls == 0 {
		return nil
	}
	return &p.Calls
}

// PlansConfig says what the tiers bring.
type PlansConfig struct {
	Free       string `env:"UAOL_PLAN_FREE" envDefault:"credits=10000 storage=1GB" doc:"what the Free plan brings: credits a month, storage (such as 500MB or 1GB), calls (charged tool calls a month; a change counts from the next month on), rate (requests a minute, of all accounts of the organisation together), history (days), files (days that files are kept); what is not named is unlimited"`
	Pro        string `env:"UAOL_PLAN_PRO" envDefault:"credits=100000 storage=100GB" doc:"what the Pro plan brings, likewise"`
	Enterprise string `env:"UAOL_PLAN_ENTERPRISE" envDefault:"credits=1000000" doc:"what the Enterprise plan brings, likewise"`

	plans Plans
}

// Plans are the plans by tier.
type Plans map[Tier]Plan

const (
	guestCredits = 1_000                                     // in all
	mostCredits  = 1_000_000_000_000                         // of one plan, grant or purchase: far from what a sum could not hold
	mostStorage  = 1 << 60                                   // bytes, likewise
	planForm     = "words such as credits=10000 storage=1GB" //
)

// Check reads the plans.
func (c *PlansConfig) Check() error {
	c.plans = Plans{}
	for tier, from := range map[Tier][2]string{Free: {"UAOL_PLAN_FREE", c.Free}, Pro: {"UAOL_PLAN_PRO", c.Pro}, Enterprise: {"UAOL_PLAN_ENTERPRISE", c.Enterprise}} {
		plan, err := parsePlan(from[1])
		if err != nil {
			return &config.Fault{Variable: from[0], Value: from[1], Want: fmt.Sprintf("%s (%s)", planForm, err)}
		}
		plan.Tier = tier
		c.plans[tier] = plan
	}
	return nil
}

// parsePlan reads what a plan brings.
func parsePlan(text string) (Plan, error) {
	var p Plan
	fields := map[string]*int64{"credits": &p.Credits, "storage": &p.Storage, "calls": &p.Calls, "rate": &p.Rate, "history": &p.HistoryDays, "files": &p.FileDays}
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		field, ok := fields[name]
		if !ok {
			return Plan{}, fmt.Errorf("%q is none of credits, storage, calls, rate, history and files", name)
		}
		factor, most := int64(1), int64(mostCredits)
		if name == "storage" {
			value, factor = bytesOf(value)
			most = mostStorage / factor
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 || n > most {
			return Plan{}, fmt.Errorf("%s is no number from 0 to %d", name, most)
		}
		*field = n * factor
	}
	return p, nil
}

func bytesOf(text string) (digits string, factor int64) {
	for i, unit := range []string{"KB", "MB", "GB", "TB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			return number, 1 << (10 * (i + 1))
		}
	}
	return text, 1
}

// renewal is how an account goes on.
type renewal struct {
	Tier      Tier
	Holder    Holder
	Operation string // empty if no month begins and nothing is given
	Once      int64  // credits that stay until they are spent
	Monthly   int64  // credits that end with the month
	Calls     *int64 // charged tool calls of the month; nil for as many as one likes
	Facts     string // why, where somebody has decided it
	RenewsAt  time.Time
	PaidFrom  *time.Time
	PaidUntil *time.Time
}

// never is later than anything.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// grace is how long a subscription may be paid late before its tier ends: Stripe
// bills an hour after a period has ended and tries a failed payment for days.
const grace = 3 * 24 * time.Hour

// next says how an account goes on that has to be opened or whose month is over.
// Months of a subscription are counted from its first day, others are the
// calendar's, of UTC. Months that nobody asked in are passed over.
func (p Plans) next(a account, asks Holder) renewal {
	holder := a.Holder
	if a.opens(asks) {
		holder = asks
	}
	next := renewal{Tier: a.Tier, Holder: holder, RenewsAt: never}
	if holder != a.Holder && a.PaidUntil != nil && a.Now.Before(a.RenewsAt) { // paid for before anybody asked: its month has begun
		next.RenewsAt, next.PaidFrom, next.PaidUntil = a.RenewsAt, a.PaidFrom, a.PaidUntil
		return next
	}
	if holder == HolderGuest && a.PaidUntil == nil {
		next.Operation, next.Once = "opening/guest", guestCredits
		return next
	}
	if a.PaidUntil != nil && a.PaidFrom != nil && a.Now.Before(a.PaidUntil.Add(grace)) {
		at := a.Now
		if last := a.PaidUntil.Add(-1); last.After(*a.PaidFrom) && at.After(last) { // the month after is not paid for
			at = last
		}
		start, end := month(a.PaidFrom.UTC(), at)
		next.PaidFrom, next.PaidUntil = a.PaidFrom, a.PaidUntil
		next.RenewsAt = paidUntil(end, *a.PaidUntil)
		next.Operation, next.Monthly, next.Calls = chain.MonthPrefix+start.Format(time.RFC3339), p[a.Tier].Credits, p[a.Tier].calls()
		return next
	}
	if a.PaidUntil != nil {
		next.Tier = Free
	}
	now := a.Now.UTC()
	start := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	next.Operation, next.RenewsAt, next.Calls = chain.MonthPrefix+start.Format("2006-01"), start.AddDate(0, 1, 0), p[next.Tier].calls()
	next.Monthly = p.month(holder, next.Tier)
	return next
}

// month is what a month of the tier brings whom it was not bought for.
func (p Plans) month(holder Holder, tier Tier) int64 {
	if holder == HolderUser || tier != Free {
		return p[tier].Credits
	}
	return 0
}

// paidUntil is when a month ends that a subscription has paid for: the last one
// waits for the next payment.
func paidUntil(end, until time.Time) time.Time {
	if end.Before(until) {
		return end
	}
	return until.Add(grace)
}

// month is the month after from in which t lies. A month that has no such day
// ends with its last.
func month(from, t time.Time) (start, end time.Time) {
	start = from
	for n := 1; ; n++ {
		end = addMonths(from, n)
		if t.Before(end) {
			return start, end
		}
		start = end
	}
}

func addMonths(t time.Time, n int) time.Time {
	end := t.AddDate(0, n, 0)
	if end.Day() != t.Day() { // it ran over into the month after
		end = end.AddDate(0, 0, -end.Day())
	}
	return end
}
