// Package reference is the API's page for people, /docs: it shows what
// /openapi.json says, and nothing of it comes from elsewhere.
package reference

import (
	_ "embed"

	"uaol/providers/page"
)

//go:embed page.html
var frame string

//go:embed page.css
var style string

//go:embed page.js
var script string

// Page is /docs.
var Page = page.New(frame, style, script)
