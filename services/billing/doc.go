// Package billing keeps every organisation's credits. Credits are whole
// numbers. What work will cost is held before it begins, settled as it
// succeeds and released where it does not:
//
//	available ──hold──▶ held ──settle──▶ spent
//	    ▲                │
//	    └────release─────┘
//
// Every operation carries an id and counts once, however often it is sent.
//
// All of it stands in the journal, which is only ever added to: each entry moves
// an amount from one ledger account of an organisation to another, and says what
// is available afterwards. The packages below it are
//
//   - chain: the rules of the journal, and the seals over it, without a database
//   - ledger: reading, sealing, verifying and copying the books
//   - receipts: what a call or a job cost, to be checked by anybody
//   - payments: what is bought with money, at Stripe
//
// What comes at once is written together: one statement for a batch of holds, of
// settlements or of releases, with one update of each account. Who comes alone
// waits for nobody; see group.
//
// Caps bound what an organisation, a member of it or a key spends in a day or a
// month. A hold counts against them as it is made; what is released comes back
// to those of the period in which it was held.
package billing
