package console

import "slices"

// routes is every page there is, and everything that a form does.
func (c *Console) routes() []route {
	return slices.Concat(
		signInRoutes(),
		overviewRoutes(),
		jobRoutes(),
		workflowRoutes(),
		scheduleRoutes(),
	)
}
