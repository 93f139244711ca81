package gateway

import (
	"uaol/providers/api"
	"uaol/providers/httpserver"
	"uaol/providers/peers"
	"uaol/services"
)

// Place is where a service is reached when it does not run in this process.
type Place struct {
	Service    services.Name
	Variable   string // that holds URL
	URL        string
	Operations func() []api.Operation
}

// Upstream is a service that runs elsewhere.
type Upstream struct {
	Peer       *peers.Peer
	Operations []api.Operation
}

// Upstreams are the services that do not run in this process.
type Upstreams []Upstream

// NewUpstreams finds the address of every service that is not in this process;
// a Fault names the variable of one that has none.
func NewUpstreams(identity httpserver.Identity, tokens *peers.Tokens, places []Place) (Upstreams, error) {
	var absent Upstreams
	for _, p := range places {
		if identity.Runs(p.Service) {
			continue
		}
		peer, err := peers.New(p.Service, p.Variable, p.URL, tokens)
		if err != nil {
			return nil, err
		}
		absent = append(absent, Upstream{Peer: peer, Operations: p.Operations()})
	}
	return absent, nil
}
