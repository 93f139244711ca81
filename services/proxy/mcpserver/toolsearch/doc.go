// Package toolsearch finds methods by what somebody wants to do, for clients that can't
// carry the definitions of hundreds. It goes by words alone, as docs/architecture.md
// tells.
package toolsearch
