package billing

import "uaol/services"

// Tier is a plan's name, in the contract's words.
type Tier string

// The tiers.
const (
	Free       Tier = "Free"
	Pro        Tier = "Pro"
	Enterprise Tier = "Enterprise"
)

// opening is what a caller's account begins with: a guest gets its credits
// once, a user the Free plan's for the month. A shared organisation begins with
// nothing, or making organisations would make credits: its members move theirs.
func opening(caller services.Caller) (tier Tier, credits int64) {
	switch {
	case !caller.Personal:
		return Free, 0
	case caller.Role == services.RoleGuest:
		return Free, 1_000
	}
	return Free, 10_000
}

// grantID names the grant of an account's opening. A guest that registers has
// had its own and gets the user's beside it, once.
func grantID(caller services.Caller) string {
	switch {
	case !caller.Personal:
		return "opening/shared"
	case caller.Role == services.RoleGuest:
		return "opening/guest"
	}
	return "opening/user"
}
