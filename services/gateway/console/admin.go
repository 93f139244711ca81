package console

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"uaol/services"
)

const adminPath = Prefix + "/admin"

func adminRoutes() []route {
	return forAdmins(
		see("/admin", adminPage),
		see("/admin/accounts", adminAccounts),
		see("/admin/accounts/{account}", unfilled(adminAccount)),
		do("/admin/accounts/{account}/credits", correctCredits),
		do("/admin/accounts/{account}/tier", giveTier),
		do("/admin/accounts/{account}/admin", makeAdmin),
		see("/admin/invitations", unfilled(adminInvitations)),
		do("/admin/invitations", inviteToPlatform),
		do("/admin/invitations/{invitation}/withdraw", withdrawFromPlatform),
		see("/admin/audit", adminAudit),
		see("/admin/audit/export", exportAudit),
		see("/admin/ledger", adminLedger),
		do("/admin/ledger/verify", verifyLedger),
		see("/admin/events", adminEvents),
		do("/admin/events/{service}/{event}/retry", retryEvent),
		see("/admin/configuration", adminConfiguration),
	)
}

// errNoAdmin is for pages of the platform's admins. What is asked for them the API would
// refuse as well; the page says it before it asks.
var errNoAdmin = services.Errorf(services.Forbidden, "This is for admins of the platform").WithCode("ADMIN_ONLY")

func forAdmins(all ...route) []route {
	for i, one := range all {
		if page := one.page; page != nil {
			all[i].page = func(v *visit) (view, error) {
				if !v.who.Admin {
					return view{}, errNoAdmin
				}
				return page(v)
			}
		}
		if act := one.act; act != nil {
			all[i].act = func(v *visit) error {
				if !v.who.Admin {
					return errNoAdmin
				}
				return act(v)
			}
		}
	}
	return all
}

// seal is the newest seal over the books of credits.
type seal struct {
	Number  int64     `json:"number"`
	Digest  string    `json:"digest"`
	Root    string    `json:"root"`
	Entries int64     `json:"entries"`
	At      time.Time `json:"sealedAt"`
}

// books is how far they are sealed.
type books struct {
	Seal          *seal `json:"seal"`
	Organizations int64 `json:"organizations"`
	Entries       int64 `json:"entries"`
	Unsealed      int64 `json:"unsealed"`
}

// outbox is how a service's events fare.
type outbox struct {
	Service string `json:"-"`
	Away    bool   `json:"-"` // the service can't be asked just now
	Broker  string `json:"broker"`
	Pending int64  `json:"pending"`
	Refused int64  `json:"refused"`
}

// Published reports whether there is a broker that events wait for.
func (o outbox) Published() bool { return o.Broker != "" && o.Broker != "none" }

// outboxOwners are the services that have events.
var outboxOwners = []string{"auth", "registry", "jobs", "billing", "storage"}

// outboxes asks each service; one that is away keeps no other from being shown.
func (v *visit) outboxes() ([]outbox, error) {
	all := make([]outbox, len(outboxOwners))
	asks := make([]func() error, len(all))
	for i, service := range outboxOwners {
		all[i].Service = service
		asks[i] = func() error {
			err := v.get(path(nil, "events", service, "counts"), &all[i])
			if away(err) {
				all[i].Away, err = true, nil
			}
			return err
		}
	}
	return all, together(asks...)
}

// away reports whether a part of the server can't be reached just now.
func away(err error) bool { return isKind(err, services.Unavailable, services.Timeout) }

type adminData struct {
	Services []serviceState
	Checks   []checkState
	Ready    bool
	Books    *books // nil when billing is away
	Outboxes []outbox
	Pending  int64 // events that a broker has not got
	Refused  int64
	Broker   string
	Review   int
	Accounts []account // the newest
	Away     []string  // what could not be asked
}

const (
	adminEvery  = 10 * time.Second
	adminNewest = 6
)

func adminPage(v *visit) (view, error) {
	var data adminData
	var health overviewData
	var mu sync.Mutex
	part := func(what string, ask func() error) func() error { // whatever runs is shown without what does not
		return func() error {
			err := ask()
			if away(err) {
				mu.Lock()
				defer mu.Unlock()
				data.Away, err = append(data.Away, what), nil
			}
			return err
		}
	}
	err := together(
		func() error { return v.get("/services", &data.Services) },
		func() error { return v.health(&health) },
		func() (err error) { data.Outboxes, err = v.outboxes(); return err },
		part("billing", func() error {
			var found books
			if err := v.get("/ledger", &found); err != nil {
				return err
			}
			data.Books = &found
			return nil
		}),
		part("registry", func() error { return v.count("/tools/review?limit=50", &data.Review) }),
		part("auth", func() error { return v.get(path(some("limit", strconv.Itoa(adminNewest)), "accounts"), &data.Accounts) }),
	)
	if err != nil {
		return view{}, err
	}
	slices.Sort(data.Away)
	data.Checks, data.Ready = health.Checks, health.Ready
	for _, o := range data.Outboxes {
		data.Refused += o.Refused
		if o.Published() {
			data.Pending, data.Broker = data.Pending+o.Pending, o.Broker
		}
	}
	return view{Template: "admin", Title: "Platform", Section: "admin", Data: data, Every: adminEvery, Follows: true}, nil
}
