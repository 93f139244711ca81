// Package services holds what all services of UAOL share: their names, the
// kinds of error they answer with and the identity of whoever calls them.
// Each service is a package below this one.
package services

// Name is a service's name as people write it: `uaol serve auth jobs`.
type Name string

// The seven services, in the order in which a process that runs several of
// them takes its port: the first one present decides.
const (
	Gateway  Name = "gateway"
	Auth     Name = "auth"
	Registry Name = "registry"
	Proxy    Name = "proxy"
	Jobs     Name = "jobs"
	Billing  Name = "billing"
	Storage  Name = "storage"
)
