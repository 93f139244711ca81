package console

import (
	"slices"
	"strings"
)

// routes is every page there is, and everything that a form does.
func routes() []route {
	return slices.Concat(
		signInRoutes(),
		overviewRoutes(),
		toolRoutes(),
		jobRoutes(),
		workflowRoutes(),
		scheduleRoutes(),
		creditsRoutes(),
		keyRoutes(),
		accountRoutes(),
		memberRoutes(),
		fileRoutes(),
		chatRoutes(),
		adminRoutes(),
	)
}

// Pages lists the addresses of all pages, with {name} for what differs.
func Pages() []string {
	var pages []string
	for _, one := range routes() {
		if at, is := strings.CutPrefix(one.pattern, "GET "); is {
			pages = append(pages, at)
		}
	}
	return pages
}
