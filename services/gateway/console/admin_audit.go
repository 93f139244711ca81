package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"uaol/services"
)

const adminAuditPath = adminPath + "/audit"

// platformAct is one entry of the platform's audit log.
type platformAct struct {
	act
	ID           string `json:"id"`
	Organization string `json:"organization"`
	Request      string `json:"requestId"`
}

// Target is the account that it was done to; "" for none.
func (a platformAct) Target() string { return a.Details["accountId"] }

// Words are the parts of what the act is called, between which it may be broken.
func (a platformAct) Words() []string { return strings.SplitAfter(a.Action, ".") }

// nameAccounts says what the accounts are called that acts name. Of one that is deleted
// nothing is known but its id.
func (v *visit) nameAccounts(acts []platformAct) (*naming, error) {
	names := &naming{}
	var ids []string
	for _, a := range acts {
		ids = append(ids, a.Account, a.Target())
	}
	slices.Sort(ids)
	var asks []func() error
	for _, id := range slices.Compact(ids) {
		if id == "" {
			continue
		}
		asks = append(asks, func() error {
			var found account
			err := v.get(path(nil, "accounts", id), &found)
			if err == nil {
				names.set(id, found.Says())
			}
			if gone(err) || isKind(err, services.Invalid) { // whatever somebody sent in an account's place
				err = nil
			}
			return err
		})
	}
	return names, together(asks...)
}

// auditFilter is what somebody looks for, as the form has it.
type auditFilter struct {
	Action, Account, Organization, Since, Until string
}

// Any reports whether anything is looked for.
func (f auditFilter) Any() bool { return f != auditFilter{} }

// auditQuery is the filter in the API's words. Days are UTC's; the last one counts whole.
func (v *visit) auditQuery(f auditFilter) (url.Values, error) {
	query := some("action", f.Action, "account", f.Account, "organization", f.Organization)
	for name, day := range map[string]string{"since": f.Since, "until": f.Until} {
		if day == "" {
			continue
		}
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return nil, services.Errorf(services.Invalid, "%q is not a day, such as 2026-01-31", day)
		}
		if name == "until" {
			at = at.AddDate(0, 0, 1)
		}
		query.Set(name, at.Format(time.RFC3339))
	}
	if !strings.Contains(f.Account, "@") {
		return query, nil
	}
	var like []account
	if err := v.get(path(some("q", f.Account), "accounts"), &like); err != nil {
		return nil, err
	}
	for _, a := range like {
		if a.Email != nil && strings.EqualFold(*a.Email, f.Account) {
			query.Set("account", a.ID)
			return query, nil
		}
	}
	return nil, services.Errorf(services.NotFound, "No account has the e-mail address %s", f.Account)
}

// exportOf is the part of a query that an export takes.
func exportOf(query url.Values) url.Values {
	return some("since", query.Get("since"), "until", query.Get("until"))
}

type adminAuditData struct {
	Filter auditFilter
	Acts   []platformAct
	Names  *naming // of accounts
	More   string
	Export string
}

func auditFilterOf(v *visit) auditFilter {
	return auditFilter{v.asked("action"), strings.TrimSpace(v.asked("account")), v.asked("organization"), v.asked("since"), v.asked("until")}
}

func adminAudit(v *visit) (view, error) {
	f := auditFilterOf(v)
	query, err := v.auditQuery(f)
	if err != nil {
		return view{}, err
	}
	if cursor := v.asked("cursor"); cursor != "" {
		query.Set("cursor", cursor)
	}
	data := adminAuditData{Filter: f, Export: adminAuditPath + "/export?" + some("since", f.Since, "until", f.Until).Encode()}
	next, err := v.list(path(query, "audit"), &data.Acts)
	if err != nil {
		return view{}, err
	}
	if data.Names, err = v.nameAccounts(data.Acts); err != nil {
		return view{}, err
	}
	if next != "" {
		data.More = adminAuditPath + "?" + some("action", f.Action, "account", f.Account, "organization", f.Organization,
			"since", f.Since, "until", f.Until, "cursor", next).Encode()
	}
	return view{Template: "admin-audit", Title: "Audit log", Section: "admin", Data: data}, nil
}

// exportAudit hands the API's lines on, for browsers have no credentials of the API.
func exportAudit(v *visit) (view, error) {
	query, err := v.auditQuery(auditFilterOf(v))
	if err != nil {
		return view{}, err
	}
	return v.passOn(path(exportOf(query), "audit", "export"), func(header http.Header) { header.Set("Cache-Control", "no-store") })
}
