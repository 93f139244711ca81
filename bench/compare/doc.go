// Package compare holds UAOL's /mcp beside other gateways for MCP servers that can be had
// with the go command or npm: what of MCP's conformance suite passes through each, and how
// fast calls of a tool go through them. docs/compare.md says what came of it.
//
//	make compare
//
// Everybody is a program of its own, is given one server of tools over streamable HTTP at
// the loopback, and is asked over the same. In the race all take turns, so that a busy
// machine slows all alike. UAOL authenticates, validates, limits, charges and records each
// call, on a PostgreSQL as durable as in production; the others do what they do as their
// documentation has them started.
//
// Without variables the race is so short that it only shows that it works, and is run by
// UAOL, the tool itself and a gateway that is naively built of the Go SDK.
//
//   - UAOL_COMPARE_PEERS=1 gets the other gateways
//   - UAOL_COMPARE_SUITE=1 runs the suite
//   - UAOL_COMPARE_TURN, UAOL_COMPARE_ROUNDS: how many seconds a turn takes, and how many
//     each of them has at each number of connections
//   - UAOL_COMPARE_ONLY: names, separated by commas; nobody else runs
//   - UAOL_COMPARE_RESULTS: directory for what was measured, each call and each check;
//     what one test of the package leaves there is in the other's table
//   - UAOL_BENCH_DIR: where the database keeps its data; it must be a disk
package compare
