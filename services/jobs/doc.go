// Package jobs runs workflows: steps that call tools, in the order in which
// they depend on each other, side by side where they don't.
//
//	         claim              all steps succeeded
//	Queued ─────────▶ Running ───────────────────────▶ Success
//	   │                │  ╲      a step failed
//	   │ cancel         │   ╲─────────────────────────▶ Failed
//	   └────────────────┴──▶ Cancelled
//
// A job is worked on by one worker at a time, under a lease with a fencing
// token. A worker that dies loses its lease; the next one goes on after the
// last step whose result was stored. A step that may have reached its tool
// without a stored result is sent again only if its method says that this is
// harmless.
package jobs
