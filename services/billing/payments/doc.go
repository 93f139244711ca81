// Package payments sells credits and subscriptions through Stripe.
//
// What Stripe says comes as events: twice, in any order, days late. So no event
// is an instruction. Each adds what it says to the row of the object it is about,
// in a way that does not depend on what came before (that it was paid stays true;
// of what is refunded the most counts; of a status the newest word), and in the
// same transaction the ledger is brought to where the row says it should be. The
// same facts told again, under whatever event id, leave nothing to be done.
//
// The package does not know the ledger; it is given one.
package payments
