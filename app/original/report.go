package original

import (
	"fmt"
	"slices"
)

// Report says what became of everything that was found.
type Report struct {
	DryRun   bool    `json:"dry_run"`
	Users    Count   `json:"users"`
	Keys     Count   `json:"keys"`
	Credits  Count   `json:"accounts_with_credits"`
	Granted  int64   `json:"credits_granted"` // in this run
	Tools    Count   `json:"tools"`
	Jobs     Count   `json:"jobs"`
	Findings []Group `json:"findings"`
}

// Count says how many there are, and where they have gone.
type Count struct {
	Found   int64 `json:"found"`
	Brought int64 `json:"brought"`
	Already int64 `json:"already"` // here before
	Left    int64 `json:"left"`    // behind; findings say why
}

func (c *Count) add(other Count) {
	c.Found += other.Found
	c.Brought += other.Brought
	c.Already += other.Already
	c.Left += other.Left
}

// Code names what somebody should know.
type Code string

// The codes.
const (
	Guests         Code = "guests"
	Ended          Code = "account_ended"
	IDChanged      Code = "id_changed"
	EmailTaken     Code = "email_taken"
	EmailUnusable  Code = "email_unusable"
	KeyMissing     Code = "key_missing"
	KeyUnfit       Code = "key_unfit"
	KeyTaken       Code = "key_taken"
	CreditsBelow   Code = "credits_negative"
	CreditsAbove   Code = "credits_too_many"
	CreditsChanged Code = "credits_changed"
	TierUnknown    Code = "tier_unknown"
	TierKept       Code = "tier_kept"
	ToolWaits      Code = "tool_waits"
	ToolUnpinned   Code = "tool_unpinned"
	ToolRefused    Code = "tool_refused"
	ToolOwner      Code = "tool_owner_left"
	JobUnfinished  Code = "job_unfinished"
	JobTooLarge    Code = "job_too_large"
	OutputTooLarge Code = "job_output_too_large"
	JobOwner       Code = "job_owner_left"
	JobStatus      Code = "job_status_unknown"
	ProviderKeys   Code = "provider_keys_left"
	OAuthTokens    Code = "oauth_tokens_left"
)

// meanings say what each code means and what to do, in the order of the report.
var meanings = []struct {
	code Code
	text string
}{
	{Guests, "guests were left behind: they last a day, and a client gets a new one by itself"},
	{Ended, "users were deleted here since they were brought, and stay so"},
	{IDChanged, "ids are no UUIDs; they got one, always the same"},
	{EmailTaken, "users have an address that is an older user's; they came without it, as <id>@" + placeholderDomain + ": with their keys they can give another one (POST /users/email)"},
	{EmailUnusable, "users have no e-mail address; they came as <id>@" + placeholderDomain},
	{KeyMissing, "users have no API key"},
	{KeyUnfit, "API keys could be guessed, or no header can carry them; they were left behind"},
	{KeyTaken, "API keys are another account's here, and stay so"},
	{CreditsBelow, "users had less than no credits; they bring none"},
	{CreditsAbove, "users had more credits than one account may bring; an admin can grant them (POST /credits/grant)"},
	{CreditsChanged, "users have other credits there now than when they were brought; what was granted stays"},
	{TierUnknown, "users have a plan that there is none of; they came as Free"},
	{TierKept, "accounts were used here before they were brought, and keep their plan"},
	{ToolWaits, "tools are approved there, where anybody could approve; here they wait for an admin (uaol tools approve), who pins their methods"},
	{ToolUnpinned, "tools are in force with methods that nobody has pinned; uaol tools approve pins them"},
	{ToolRefused, "tools can't be here; mend what it says, and run this again"},
	{ToolOwner, "tools are of users who were left behind"},
	{JobUnfinished, "jobs have not ended; they were left behind and are not run"},
	{JobTooLarge, "jobs have a workflow that is too large to be kept"},
	{OutputTooLarge, "jobs have an output that is too large to be kept; they came without it"},
	{JobOwner, "jobs are of users who were left behind"},
	{JobStatus, "jobs have a status that there is none of"},
	{ProviderKeys, "keys of model providers were left behind: people store them anew (POST /api-keys)"},
	{OAuthTokens, "tokens of sign-in providers were left behind: people sign in anew"},
}

// Group is all that there is to say under one code.
type Group struct {
	Code    Code   `json:"code"`
	Meaning string `json:"meaning"`
	Count   int64  `json:"count"`
	Items   []Item `json:"items"` // the first thousand
}

// Item is one of them.
type Item struct {
	ID     string `json:"id"` // as the source has it
	Detail string `json:"detail,omitempty"`
}

const mostItems = 1000 // of a group are named

func newReport(dry bool) *Report {
	return &Report{DryRun: dry, Findings: []Group{}}
}

// find notes something about the row with an id.
func (r *Report) find(code Code, id, format string, args ...any) {
	g := r.group(code)
	g.Count++
	if len(g.Items) < mostItems {
		g.Items = append(g.Items, Item{ID: id, Detail: fmt.Sprintf(format, args...)})
	}
}

// count notes so many at once, which nobody needs the names of.
func (r *Report) count(code Code, n int64) { r.group(code).Count += n }

// group keeps the groups in the order of their meanings.
func (r *Report) group(code Code) *Group {
	place := func(code Code) int {
		return slices.IndexFunc(meanings, func(m struct {
			code Code
			text string
		}) bool {
			return m.code == code
		})
	}
	at, found := slices.BinarySearchFunc(r.Findings, place(code), func(g Group, wanted int) int { return place(g.Code) - wanted })
	if !found {
		r.Findings = slices.Insert(r.Findings, at, Group{Code: code, Meaning: meanings[place(code)].text, Items: []Item{}})
	}
	return &r.Findings[at]
}

// merge adds what a batch has come to.
func (r *Report) merge(part *Report) {
	r.Users.add(part.Users)
	r.Keys.add(part.Keys)
	r.Credits.add(part.Credits)
	r.Tools.add(part.Tools)
	r.Jobs.add(part.Jobs)
	r.Granted += part.Granted
	for _, g := range part.Findings {
		into := r.group(g.Code)
		into.Count += g.Count
		into.Items = append(into.Items, g.Items[:min(len(g.Items), mostItems-len(into.Items))]...)
	}
}
