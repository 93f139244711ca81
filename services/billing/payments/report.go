package payments

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// Finding is one difference between what Stripe says and what we have.
type Finding struct {
	Kind         FindingKind `json:"kind"`
	Object       string      `json:"object" doc:"Stripe's id of what it is about"`
	Organization *uuid.UUID  `json:"organizationId,omitempty"`
	Message      string      `json:"message"`
}

// FindingKind says what sort of difference it is, for programs.
type FindingKind string

// The kinds of findings.
const (
	NotCredited         FindingKind = "not_credited"         // paid there, too little given here
	NotPaid             FindingKind = "not_paid"             // given here, not paid there
	RefundDiffers       FindingKind = "refund_differs"       // refunded there otherwise than here
	DisputeDiffers      FindingKind = "dispute_differs"      // disputed there otherwise than here
	MonthNotCounted     FindingKind = "month_not_counted"    // an invoice paid there, its month not given here
	SubscriptionDiffers FindingKind = "subscription_differs" // another status there than here, or unknown to one
	SubscribedTwice     FindingKind = "subscribed_twice"     // an organisation pays for two at once
)

// Report is what came of comparing.
type Report struct {
	Since         services.Time `json:"since"`
	Payments      int           `json:"payments" doc:"compared"`
	Invoices      int           `json:"invoices" doc:"compared"`
	Subscriptions int           `json:"subscriptions" doc:"compared"`
	Findings      []Finding     `json:"findings"`
}

func (r *Report) find(kind FindingKind, object string, organization *uuid.UUID, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Kind: kind, Object: object, Organization: organization, Message: fmt.Sprintf(format, args...)})
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object))
	})
}

// String is the report for people.
func (r Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Since %s: %d payments, %d invoices and %d subscriptions compared with Stripe; ",
		r.Since.UTC().Format(time.RFC3339), r.Payments, r.Invoices, r.Subscriptions)
	switch len(r.Findings) {
	case 0:
		text.WriteString("nothing differs.\n")
	case 1:
		text.WriteString("one thing differs:\n")
	default:
		fmt.Fprintf(&text, "%d things differ:\n", len(r.Findings))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "- %s: %s", f.Object, f.Message)
		if f.Organization != nil {
			fmt.Fprintf(&text, " (organisation %s)", f.Organization)
		}
		text.WriteString("\n")
	}
	return text.String()
}
