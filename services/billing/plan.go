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

// opening is what a new account begins with: a guest gets its credits once, a
// user the Free plan's for the month.
func opening(role services.Role) (tier Tier, credits int64) {
	if role == services.RoleGuest {
		return Free, 1_000
	}
	return Free, 10_000
}

// grantID names the grant of an account's opening. A guest that registers has
// had its own and gets the user's beside it, once.
func grantID(role services.Role) string {
	if role == services.RoleGuest {
		return "opening/guest"
	}
	return "opening/user"
}
