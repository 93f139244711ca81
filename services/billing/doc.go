// Package billing keeps every organisation's credits. Credits are whole
// numbers. What work will cost is held before it begins, settled as it
// succeeds and released where it does not:
//
//	available ──hold──▶ held ──settle──▶ spent
//	    ▲                │
//	    └────release─────┘
//
// Every operation carries an id and counts once, however often it is sent.
package billing
