// Package conformance runs MCP's own conformance suite against UAOL: as a server, as a
// client of tools, and as an authorization server. docs/conformance.md says what came of
// it. The suite needs npm, and minutes; so only this runs it:
//
//	make conformance
package conformance
