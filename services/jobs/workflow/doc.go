// Package workflow is the language of workflow definitions: what they may say,
// and what their references and conditions mean. It knows no database, no
// network and no clock; docs/workflows.md tells its users of it. Parse reads a
// definition, say this one:
//
//	{
//	  "timeout": "7d",
//	  "output": {"paid": "{{pay.result.id}}", "letter": "{{write.result}}"},
//	  "steps": [
//	    {"id": "orders", "tool_id": "0199c0de-0000-7000-8000-000000000001", "action": "list",
//	     "parameters": {"since": "{{input.since}}"},
//	     "retry": {"attempts": 5, "backoff": "2s"}, "timeout": "30s"},
//	    {"id": "check", "tool_id": "0199c0de-0000-7000-8000-000000000001", "action": "check",
//	     "for_each": {"items": "{{orders.result.list}}", "parallel": 5},
//	     "parameters": {"order": "{{item.id}}", "row": "{{index}}"},
//	     "idempotency_key": "check-{{item.id}}", "on_error": "continue"},
//	    {"id": "pay", "tool_id": "0199c0de-0000-7000-8000-000000000002", "action": "pay",
//	     "when": "steps.check.status == 'Success' && steps.orders.result.total > 100",
//	     "parameters": {"sum": "{{orders.result.total}}", "note": "By {{input.who}}"},
//	     "on_error": {"compensate": "refund"}},
//	    {"id": "look", "kind": "approval", "approves": "pay", "expires_in": "2d"},
//	    {"id": "refund", "tool_id": "0199c0de-0000-7000-8000-000000000002", "action": "refund",
//	     "parameters": {"why": "{{pay.error}}"}},
//	    {"id": "rest", "kind": "sleep", "duration": "36h", "depends_on": ["pay"]},
//	    {"id": "write", "kind": "llm", "provider": "anthropic", "max_tokens": 500, "temperature": 0.5,
//	     "prompt": "Write a letter about {{pay.result}}.", "depends_on": ["rest"]},
//	    {"id": "send", "kind": "workflow", "workflow_id": "0199c0de-0000-7000-8000-000000000003",
//	     "version": 2, "input": {"letter": "{{write.result}}", "to": ["{{input.who}}"]}}
//	  ]
//	}
//
// Steps run as soon as all that they wait for have ended: those in depends_on,
// those that they refer to, and those that their condition reads. Nothing else
// orders them. An approval waits for all that the step it approves waits for,
// so that the person sees the very call. A compensation step, which others name
// in on_error, runs only after one of these has failed.
//
// The attempts of retry are those that have failed. A worker that died uses none up,
// nor does a call that could not leave: for room (a limit, a busy tool, one that is
// left alone for a moment) or for a part of the platform that is away a step waits by
// itself, for an hour at most.
//
// A reference is {{step.result}} with a path into it (.list.0.id), {{step.error}},
// a text or null, {{step.status}}, {{input}} with a path, and in a step with
// for_each {{item}} with a path and {{index}}, which counts from 0. A text that
// is exactly one reference becomes the value, of its type; in a longer text
// values become text. What stands in braces and begins with no step's id and none of
// these words is ordinary text, as {{name}} is; what begins with one and goes on as no
// reference does, as {{orders.total}}, is a fault.
//
// A step may lack what it reads only where it need not run. So a job whose input has no
// member that a reference leads to is refused as it is made, if the reference stands in
// the output or in a step that has neither a condition nor on_error: "continue", is no
// compensation, and waits for no step that has a condition or waits for one. What is
// filled in for each item is not looked at: there may be no item.
//
// A condition (when) is an expression of CEL, https://cel.dev, that is true or
// false. It reads input, steps.id or steps["an-id"] with its status, result and
// error, and in a step with for_each item and index. Whole numbers that fit 64
// bits are int and all others double: they compare, but for arithmetic one has
// to be converted, as in double(input.n) * 0.5. There are CEL's macros and
// functions, and charAt, lowerAscii, substring, trim and upperAscii; there is no
// time of day. What costs too much (see maxCost) is an error.
//
// A duration is written as Go does, 90s or 1h30m, or in whole days, 2d. Members
// that the language does not know are ignored, unless they look like a slip: dependsOn
// or retries is a fault that names depends_on or retry. Members of another kind of step
// are faults, and so is one that an object has twice.
//
// What was accepted before the language came to refuse it means what it did (Stored).
package workflow
