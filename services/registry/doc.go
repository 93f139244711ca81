// Package registry knows the tools: MCP servers that people register, price in
// credits and offer to others once an admin has approved them.
//
// What a tool is to its callers is a version: address, protocol, price, methods.
// A change of it makes a new version, which waits while the old one goes on:
//
//	            approve             another one is approved
//	Pending ───────────────▶ Approved ───────────────▶ Superseded
//	   ├────────▶ Rejected
//	   └────────▶ Superseded, when its owner proposes something else
//
// The tool itself is Approved while a version is in force, Disabled when an admin
// or its owner has ended that, and otherwise what its newest version is.
//
// On approval the server's methods are read and pinned, each by a digest. What the
// server changes later is quarantined until an admin has looked at it.
package registry
