// Package registry knows the tools: MCP servers that people register, price in
// credits and offer to others once an admin has approved them.
//
//	          approve            disable
//	Pending ──────────▶ Approved ─────────▶ Disabled
//	   ▲                   │                   │
//	   └──── what is called changes ───────────┘
package registry
