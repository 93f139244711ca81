// Package auth knows who is calling: accounts and guests, the organisations
// that own what they make, API keys and tokens. An account is a user, who has
// an e-mail; a guest, who has only a session; or a service account, a program of
// a shared organisation. Registering turns the guest's row into the user's, so
// whatever the guest made stays its own.
//
// Where to look:
//
//   - verify.go: whose credentials a request carries, and for which
//     organisation; authenticator.go keeps the answers for a moment, in every
//     process.
//   - service.go: registering and signing in; passwords.go, guests.go, keys.go
//     and sessions.go what that is made of; signin_links.go links that sign in
//     once; attempts.go what is counted against attackers.
//   - signin.go: signing in with OpenID providers, whose protocol is package
//     oidc; reclaim.go what happens to an account whose e-mail nobody had proved.
//   - profile.go, email.go, password_reset.go: what people change about
//     themselves, with links (links.go) sent by mail (post.go).
//   - deletion.go, erasure.go and export.go: how an account goes, and what
//     people may take along.
//   - audit.go: who did what.
//   - package oauth: programs that people let in, as an authorization server; access.go:
//     whose tokens those are, and those of other issuers; programs.go: what it needs of us.
//   - package teams: shared organisations; package modelkeys: keys of model
//     providers.
package auth
