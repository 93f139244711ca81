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
// What comes at once is written together: one statement for a batch of holds, of
// settlements or of releases of calls, with one update of each account. Who comes
// alone waits for nobody; see group.
//
// Caps bound what an organisation, a member of it or a key spends in a day or a
// month. A hold counts against them as it is made; what is released comes back
// to those of the period in which it was held.
package billing
