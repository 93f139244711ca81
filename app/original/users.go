package original

import (
	"context"
	"crypto/sha256"
	"maps"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing"
)

// digest stands for an address or a key, which a run remembers of every user.
type digest [16]byte

func digestOf(text string) digest {
	sum := sha256.Sum256([]byte(text))
	return digest(sum[:16])
}

// placeholderDomain is one that nobody can ever have, by RFC 2606: no letter, and so
// no new password, goes there.
const placeholderDomain = "original.invalid"

// placeholder is the address of an account that can't have its own.
func placeholder(user uuid.UUID) string { return user.String() + "@" + placeholderDomain }

// users brings users with their keys and credits.
func (r *run) users(ctx context.Context) error {
	batch := newBatch(r.Batch, func(b []userRow) error { return r.bringUsers(ctx, b) })
	if err := r.source.users(ctx, func(row userRow) error { return batch.add(row, 0) }); err != nil {
		return err
	}
	return batch.flush()
}

// arrivals is a batch of users as it is decided about.
type arrivals struct {
	part    *Report
	users   []auth.OriginalUser
	credits []billing.OriginalCredits
	taken   map[digest]uuid.UUID // addresses and keys of this batch
	known   auth.KnownUsers
	books   map[uuid.UUID]billing.KnownCredits
	granted map[uuid.UUID]bool // in a try before: then the books know of it
}

// bringUsers decides about a batch and writes it; again when somebody has changed
// what was decided upon.
func (r *run) bringUsers(ctx context.Context, rows []userRow) error {
	granted := map[uuid.UUID]bool{}
	for attempt := 1; ; attempt++ {
		a, err := r.decideUsers(ctx, rows, granted)
		if err == nil && !r.DryRun {
			err = r.writeUsers(ctx, a)
		}
		if services.Is(err, services.Conflict) && attempt < attempts {
			continue
		}
		if err != nil {
			return err
		}
		maps.Copy(r.taken, a.taken)
		r.report.merge(a.part)
		return nil
	}
}

// writeUsers writes credits first: an account that can be used has them.
func (r *run) writeUsers(ctx context.Context, a *arrivals) error {
	if len(a.credits) > 0 {
		if err := r.Billing.BringCredits(ctx, a.credits); err != nil {
			return err
		}
		for _, c := range a.credits {
			a.granted[c.User] = true
		}
	}
	if len(a.users) == 0 {
		return nil
	}
	return r.Auth.BringUsers(ctx, a.users)
}

func (r *run) decideUsers(ctx context.Context, rows []userRow, granted map[uuid.UUID]bool) (a *arrivals, err error) {
	a = &arrivals{part: newReport(r.DryRun), taken: map[digest]uuid.UUID{}, granted: granted}
	var ids []uuid.UUID
	var emails, keys []string
	for _, row := range rows {
		id, _ := idOf("user", row.ID)
		ids = append(ids, id)
		if email, ok := auth.OriginalEmail(said(row.Email)); ok {
			emails = append(emails, email)
		}
		if key := said(row.Key); auth.OriginalKeyFits(key) {
			keys = append(keys, key)
		}
	}
	if a.known, err = r.Auth.KnownUsers(ctx, ids, emails, keys); err != nil {
		return nil, err
	}
	asked := make([]billing.OriginalCredits, len(ids))
	for i, id := range ids {
		asked[i] = billing.OriginalCredits{User: id, Organization: homeOf(id, a.known)}
	}
	if a.books, err = r.Billing.KnownCredits(ctx, asked); err != nil {
		return nil, err
	}
	for i, row := range rows {
		r.decideUser(a, ids[i], row)
	}
	return a, nil
}

// homeOf is a user's personal organisation, here already or to be.
func homeOf(user uuid.UUID, known auth.KnownUsers) uuid.UUID {
	if account, here := known.Accounts[user]; here {
		return account.Organization
	}
	return organizationOf(user)
}

// ended reports whether a user was deleted here.
func ended(user uuid.UUID, known auth.KnownUsers, books map[uuid.UUID]billing.KnownCredits) bool {
	return known.Leaving[user] || books[homeOf(user, known)].Closed
}

func (r *run) decideUser(a *arrivals, id uuid.UUID, row userRow) {
	a.part.Users.Found++
	switch {
	case row.Guest:
		a.part.Users.Left++
		a.part.count(Guests, 1)
		return
	case ended(id, a.known, a.books):
		a.part.Users.Left++
		a.part.find(Ended, row.ID, "")
		return
	}
	if _, kept := idOf("user", row.ID); !kept {
		a.part.find(IDChanged, row.ID, "user %s", id)
	}
	home := homeOf(id, a.known)
	_, here := a.known.Accounts[id]
	email := r.address(a, id, row)
	key := r.key(a, id, row, here)
	a.balance(id, home, row)
	if here {
		a.part.Users.Already++
		return
	}
	a.part.Users.Brought++
	a.taken[digestOf(email)] = id
	if key != "" {
		a.taken[digestOf(key)] = id
	}
	a.users = append(a.users, auth.OriginalUser{ID: id, Organization: home, Email: email, Key: key, CreatedAt: moment(row.CreatedAt, now())})
}

// address decides which address a user has. An account is never put together with
// another one because of its address: nobody has proved whose that is.
func (r *run) address(a *arrivals, id uuid.UUID, row userRow) string {
	account, here := a.known.Accounts[id]
	if here && account.Email != placeholder(id) {
		return account.Email
	}
	email, ok := auth.OriginalEmail(said(row.Email))
	if !ok {
		a.part.find(EmailUnusable, row.ID, "%.100q", said(row.Email))
		return placeholder(id)
	}
	if owner, taken := r.owner(a, a.known.Emails, email, id); taken {
		a.part.find(EmailTaken, row.ID, "%s is %s's", email, owner)
		return placeholder(id)
	}
	if here {
		return account.Email
	}
	return email
}

// owner tells whose an address or a key is, if it is not the user's: somebody's who
// is here, or who comes with this run.
func (r *run) owner(a *arrivals, here map[string]uuid.UUID, text string, user uuid.UUID) (owner uuid.UUID, taken bool) {
	if owner, taken = here[text]; !taken {
		if owner, taken = r.taken[digestOf(text)]; !taken {
			owner, taken = a.taken[digestOf(text)]
		}
	}
	return owner, taken && owner != user
}

// key decides whether a user's key counts here; "" for none.
func (r *run) key(a *arrivals, id uuid.UUID, row userRow, here bool) string {
	key := said(row.Key)
	if key == "" {
		a.part.find(KeyMissing, row.ID, "")
		return ""
	}
	a.part.Keys.Found++
	owner, taken := r.owner(a, a.known.Keys, key, id)
	switch {
	case !auth.OriginalKeyFits(key):
		a.part.Keys.Left++
		a.part.find(KeyUnfit, row.ID, "%d characters", len([]rune(key)))
		return ""
	case taken:
		a.part.Keys.Left++
		a.part.find(KeyTaken, row.ID, "it is %s's", owner)
		return ""
	case here: // whatever has become of it since
		a.part.Keys.Already++
		return ""
	}
	a.part.Keys.Brought++
	return key
}

// balance decides what a user's account starts with.
func (a *arrivals) balance(id, home uuid.UUID, row userRow) {
	var amount int64
	if row.Credits != nil {
		amount = *row.Credits
	}
	if amount != 0 {
		a.part.Credits.Found++
	}
	switch {
	case amount < 0:
		a.part.find(CreditsBelow, row.ID, "%d", amount)
		a.part.Credits.Left++
		amount = 0
	case amount > billing.MostOriginal:
		a.part.find(CreditsAbove, row.ID, "%d; %d are the most", amount, int64(billing.MostOriginal))
		a.part.Credits.Left++
		amount = 0
	}
	tier := billing.Tier(said(row.Tier))
	switch tier {
	case billing.Free, billing.Pro, billing.Enterprise:
	default:
		a.part.find(TierUnknown, row.ID, "%.40q", said(row.Tier))
		tier = billing.Free
	}
	book, open := a.books[home]
	if book.Granted != nil && !a.granted[id] {
		if *book.Granted != amount {
			a.part.find(CreditsChanged, row.ID, "%d were granted, it has %d there now", *book.Granted, amount)
		}
		if amount > 0 {
			a.part.Credits.Already++
		}
		return
	}
	if open && book.Opened && book.Tier != tier {
		a.part.find(TierKept, row.ID, "%s; there it has %s", book.Tier, tier)
	}
	if amount > 0 {
		a.part.Credits.Brought++
		a.part.Granted += amount
	}
	a.credits = append(a.credits, billing.OriginalCredits{User: id, Organization: home, Tier: tier, Amount: amount})
}

func said(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
