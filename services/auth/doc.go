// Package auth knows who is calling: accounts and guests, the organisations
// that own what they make, API keys and tokens. An account is a user, who has
// an e-mail, or a guest, who has only a session; registering turns the guest's
// row into the user's, so whatever the guest made stays its own.
package auth
