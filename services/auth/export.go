package auth

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oauth"
)

// Exports hand out all that is kept of somebody, here and by other services.
type Exports struct {
	profiles   *Profiles
	repository *Repository
	custodies  []services.Custody
}

// NewExports makes an Exports.
func NewExports(profiles *Profiles, repository *Repository, custodies []services.Custody) *Exports {
	custodies = slices.Clone(custodies)
	slices.SortFunc(custodies, func(a, b services.Custody) int {
		return slices.Index(keepers, string(a.Service)) - slices.Index(keepers, string(b.Service))
	})
	return &Exports{profiles: profiles, repository: repository, custodies: custodies}
}

// Export is one person's data on its way out.
type Export struct {
	exports *Exports
	who     services.Person
	own     []member
	first   []services.Part // of each of the custodies
}

// member is a member of the document.
type member struct {
	name  string
	value any
}

// actsPage is how many acts are read at a time.
const actsPage = 500

// Begin reads what there is little of, and asks every service for its first
// part: what can't be had now is refused before anything was written.
func (x *Exports) Begin(ctx context.Context, caller services.Caller) (*Export, error) {
	if caller.Scopes != "" {
		return nil, errScopes
	}
	account, err := x.profiles.user(ctx, caller)
	if err != nil {
		return nil, err
	}
	memberships, err := x.repository.memberships(ctx, x.repository.pool, account.ID)
	if err != nil {
		return nil, err
	}
	e := &Export{exports: x, who: account.person(memberships)}
	if e.own, err = x.own(ctx, account, memberships); err != nil {
		return nil, err
	}
	for _, c := range x.custodies {
		if c.Missing != nil {
			return nil, services.Errorf(services.Unavailable, "The %s service cannot be reached; try again", c.Service).Because(c.Missing)
		}
		part, err := c.Keeper.Export(ctx, services.ExportRequest{Person: e.who})
		if err != nil {
			return nil, err
		}
		e.first = append(e.first, part)
	}
	return e, nil
}

// exportedUser is an account as its owner gets it.
type exportedUser struct {
	ID            uuid.UUID      `json:"id"`
	Email         *string        `json:"email"`
	EmailVerified *services.Time `json:"emailVerifiedAt"`
	Name          *string        `json:"name"`
	HasPassword   bool           `json:"hasPassword"`
	Admin         bool           `json:"admin"`
	Organization  uuid.UUID      `json:"organization"`
	CreatedAt     services.Time  `json:"createdAt"`
}

// own is what auth itself has of an account, without anything one could sign in
// with.
func (x *Exports) own(ctx context.Context, a Account, memberships []Membership) ([]member, error) {
	all := []member{
		{"exportedAt", services.Now()},
		{"account", exportedUser{a.ID, a.Email, a.EmailVerified, a.Name, a.PasswordHash != nil, a.Admin, a.Organization, a.CreatedAt}},
		{"memberships", append([]Membership{}, memberships...)},
	}
	for _, list := range []struct {
		name string
		read func(context.Context, Account) (any, error)
	}{
		{"keys", x.repository.exportedKeys}, {"sessions", x.repository.exportedSessions}, {"identities", x.repository.exportedIdentities},
		{"providerKeys", x.repository.exportedProviderKeys}, {"invitations", x.repository.exportedInvitations}, {"grants", x.repository.exportedGrants},
	} {
		rows, err := list.read(ctx, a)
		if err != nil {
			return nil, err
		}
		all = append(all, member{list.name, rows})
	}
	return all, nil
}

// WriteTo writes one JSON document, part by part.
func (e *Export) WriteTo(ctx context.Context, w io.Writer) error {
	d := newDocument(w)
	for _, m := range e.own {
		if err := d.member(m.name, m.value); err != nil {
			return err
		}
	}
	if err := e.acts(ctx, d); err != nil {
		return err
	}
	for i, c := range e.exports.custodies {
		for part := e.first[i]; ; {
			if err := d.items(part.Section, part.Items); err != nil {
				return err
			}
			if part.Next == "" {
				break
			}
			var err error
			if part, err = c.Keeper.Export(ctx, services.ExportRequest{Person: e.who, After: part.Next}); err != nil {
				return err
			}
		}
	}
	return d.end()
}

// acts writes what the audit log has of the account, newest first.
func (e *Export) acts(ctx context.Context, d *document) error {
	before, beforeID := time.Unix(math.MaxInt32*4, 0), uuid.Max
	for {
		acts, err := e.exports.repository.acts(ctx, Filter{Account: e.who.Account, Until: before}, beforeID, actsPage)
		if err != nil {
			return err
		}
		items := make([]json.RawMessage, len(acts))
		for i, act := range acts {
			if items[i], err = json.Marshal(act); err != nil {
				return err
			}
		}
		if err := d.items("acts", items); err != nil || len(acts) < actsPage {
			return err
		}
		last := acts[len(acts)-1]
		before, beforeID = last.Time.Time, last.ID
	}
}

// document writes a JSON object whose arrays may come in parts.
type document struct {
	w     *bufio.Writer
	begun bool
	array string // the array that is open; "" for none
	some  bool   // it has items already
}

func newDocument(w io.Writer) *document { return &document{w: bufio.NewWriter(w)} }

func (d *document) member(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	d.name(name)
	_, err = d.w.Write(text)
	return err
}

// name begins another member.
func (d *document) name(name string) {
	before := "{\n"
	if d.array != "" {
		before = "\n],\n"
	} else if d.begun {
		before = ",\n"
	}
	d.begun, d.array, d.some = true, "", false
	_, _ = d.w.WriteString(before + `"` + name + `": `) // a writer that failed says so at its next use
}

func (d *document) items(name string, items []json.RawMessage) error {
	if d.array != name {
		d.name(name)
		_, _ = d.w.WriteString("[")
		d.array = name
	}
	for _, item := range items {
		if d.some {
			_, _ = d.w.WriteString(",")
		}
		_, _ = d.w.WriteString("\n")
		if _, err := d.w.Write(item); err != nil {
			return err
		}
		d.some = true
	}
	return d.w.Flush()
}

func (d *document) end() error {
	if d.array != "" {
		_, _ = d.w.WriteString("\n]")
	}
	_, _ = d.w.WriteString("\n}\n")
	return d.w.Flush()
}

func (r *Repository) exportedKeys(ctx context.Context, a Account) (any, error) {
	keys, err := r.keys(ctx, a.ID)
	for i := range keys {
		keys[i] = keys[i].completed()
	}
	return append([]Key{}, keys...), err
}

func (r *Repository) exportedSessions(ctx context.Context, a Account) (any, error) {
	sessions, err := r.sessions(ctx, a.ID)
	return append([]Session{}, sessions...), err
}

func (r *Repository) exportedIdentities(ctx context.Context, a Account) (any, error) {
	type row struct {
		Provider   string        `json:"provider" db:"provider"`
		Issuer     string        `json:"issuer" db:"issuer"`
		Subject    string        `json:"subject" db:"subject"`
		Email      *string       `json:"email" db:"email"`
		CreatedAt  services.Time `json:"createdAt" db:"created_at"`
		LastUsedAt services.Time `json:"lastUsedAt" db:"last_used_at"`
	}
	rows, err := postgres.All[row](ctx, r.pool, `
		SELECT provider, issuer, subject, email, created_at, last_used_at FROM uaol_auth.identities WHERE account_id = $1 ORDER BY created_at`, a.ID)
	return append([]row{}, rows...), err
}

func (r *Repository) exportedProviderKeys(ctx context.Context, a Account) (any, error) {
	type row struct {
		Provider  string        `json:"provider" db:"provider"`
		Masked    string        `json:"maskedKey" db:"masked"`
		Default   bool          `json:"isDefault" db:"is_default"`
		CreatedAt services.Time `json:"createdAt" db:"created_at"`
		UpdatedAt services.Time `json:"updatedAt" db:"updated_at"`
	}
	rows, err := postgres.All[row](ctx, r.pool, `
		SELECT provider, masked, is_default, created_at, updated_at FROM uaol_auth.provider_keys WHERE organization_id = $1 ORDER BY provider`, a.Organization)
	return append([]row{}, rows...), err
}

// exportedGrants are the programs that the account has let in.
func (r *Repository) exportedGrants(ctx context.Context, a Account) (any, error) {
	grants, err := oauth.NewRepository(r.pool).Grants(ctx, a.ID)
	return append([]oauth.Grant{}, grants...), err
}

// exportedInvitations are those that were sent to the account's address, and
// those that it sent.
func (r *Repository) exportedInvitations(ctx context.Context, a Account) (any, error) {
	type row struct {
		Organization *uuid.UUID    `json:"organization" db:"organization_id"`
		Email        string        `json:"email" db:"email"`
		Role         string        `json:"role" db:"role"`
		Sent         bool          `json:"sentByMe" db:"sent"`
		CreatedAt    services.Time `json:"createdAt" db:"created_at"`
		ExpiresAt    services.Time `json:"expiresAt" db:"expires_at"`
	}
	rows, err := postgres.All[row](ctx, r.pool, `
		SELECT organization_id, email, role, invited_by = $1 AS sent, created_at, expires_at FROM uaol_auth.invitations
		WHERE invited_by = $1 OR email = $2 ORDER BY created_at LIMIT 1000`, a.ID, *a.Email)
	return append([]row{}, rows...), err
}
