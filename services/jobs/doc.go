// Package jobs runs workflows: steps that call tools, ask models, wait, or run
// other workflows, in the order in which they depend on each other, side by side
// where they don't. Their language is the package workflow below.
//
//	         claim               all steps have come to an end
//	queue ──────────▶ runs ─────────────────────────────────────▶ Success
//	  ▲                │ │       a step failed
//	  └────────────────┘ ├──────────────────────────────────────▶ Failed
//	    waits for a      │       cancelled
//	    moment, or       └──────────────────────────────────────▶ Cancelled
//	    for somebody
//
// A job is worked on by one worker at a time, under the worker's lease and with
// a fencing token (lease.go, claims.go). A worker that dies loses its lease; the
// next one goes on after the last step whose result was stored (resume.go). What a
// worker writes goes through changes.go, together with what others write at the
// moment. run.go is the worker's work on one job: advance.go decides what begins,
// call.go makes the calls, finish.go ends the job and pays.
//
// A step that may have reached its tool without a stored result is sent again
// only if its method says that this is harmless; else somebody decides
// (decisions.go). A call that is one too many for its tool has not left: it waits
// for room and is no attempt (refused.go).
package jobs
