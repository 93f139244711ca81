// Package mcpserver is UAOL as one MCP server: every tool that a caller may call,
// behind one address, for clients of both eras of the protocol. Calls go the proxy's
// way, with its checks, limits, prices and records.
package mcpserver
