package events

import "uaol/services"

// Type is one kind of events. docs/events.md explains each; tests hold this list
// against it and against what services write.
type Type struct {
	Name    string
	Service services.Name
	// Inward says that other processes of the deployment act on it at once, if a
	// broker tells them.
	Inward bool
	// Outward says that nothing here needs it: it is written only where there is a
	// broker.
	Outward bool
}

// Types lists every type of events there is.
func Types() []Type {
	return []Type{
		{Name: "user.registered", Service: services.Auth},
		{Name: "user.email_verified", Service: services.Auth},
		{Name: "user.email_changed", Service: services.Auth},
		{Name: "user.identity_linked", Service: services.Auth},
		{Name: "user.identity_unlinked", Service: services.Auth},
		{Name: "user.access_changed", Service: services.Auth, Inward: true},
		{Name: "user.reclaimed", Service: services.Auth},
		{Name: "user.deleted", Service: services.Auth},
		{Name: "organization.created", Service: services.Auth},
		{Name: "organization.deleted", Service: services.Auth},
		{Name: "tool.registered", Service: services.Registry, Inward: true},
		{Name: "tool.updated", Service: services.Registry, Inward: true},
		{Name: "tool.approved", Service: services.Registry, Inward: true},
		{Name: "tool.rejected", Service: services.Registry, Inward: true},
		{Name: "tool.disabled", Service: services.Registry, Inward: true},
		{Name: "tool.imported", Service: services.Registry, Inward: true},
		{Name: "tool.credentials", Service: services.Registry, Inward: true},
		{Name: "tool.quarantined", Service: services.Registry, Inward: true},
		{Name: "tool.restored", Service: services.Registry, Inward: true},
		{Name: "job.created", Service: services.Jobs, Inward: true},
		{Name: "job.ended", Service: services.Jobs, Inward: true},
		{Name: "job.signalled", Service: services.Jobs, Inward: true, Outward: true},
		{Name: "step.succeeded", Service: services.Jobs, Outward: true},
		{Name: "step.failed", Service: services.Jobs, Outward: true},
		{Name: "step.waiting", Service: services.Jobs, Outward: true},
		{Name: "credits.granted", Service: services.Billing},
		{Name: "credits.purchased", Service: services.Billing},
		{Name: "credits.returned", Service: services.Billing},
		{Name: "credits.refunded", Service: services.Billing},
		{Name: "credits.deducted", Service: services.Billing},
		{Name: "credits.sent", Service: services.Billing},
		{Name: "credits.received", Service: services.Billing},
		{Name: "credits.charged", Service: services.Billing, Outward: true},
		{Name: "credits.low", Service: services.Billing, Outward: true},
		{Name: "file.stored", Service: services.Storage, Outward: true},
		{Name: "file.removed", Service: services.Storage, Outward: true},
	}
}

// inward are the names of what other processes act on at once.
func inward() (names []string) {
	for _, t := range Types() {
		if t.Inward {
			names = append(names, t.Name)
		}
	}
	return names
}
