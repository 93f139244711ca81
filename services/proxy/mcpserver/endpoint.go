package mcpserver

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"uaol/providers/httpserver"
	"uaol/providers/keyring"
	"uaol/services/billing"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// Endpoint answers MCP clients. It must be closed.
type Endpoint struct {
	calls     *proxy.Service
	once      *proxy.Once
	catalog   registry.Catalog
	meter     billing.Meter
	ring      *keyring.Ring
	mail      *Mail
	sessions  *sessions
	all       *everything
	printed   *printed
	indexes   *indexes
	entries   *entries
	profiles  *Profiles
	workflows *workflows
	watches   *watches
	hosts     hosts
	log       *zap.Logger

	repository *Repository
	parking    *parking
	running    *running
	asking     *asking

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // calls that outlive their requests
}

// NewEndpoint makes an Endpoint.
func NewEndpoint(cfg httpserver.Config, calls *proxy.Service, catalog registry.Catalog, meter billing.Meter, ring *keyring.Ring, repository *Repository, once *proxy.Once, runner jobs.Runner, log *zap.Logger) *Endpoint {
	ctx, stop := context.WithCancel(context.Background())
	e := &Endpoint{
		calls: calls, once: once, catalog: catalog, meter: meter, ring: ring, repository: repository, hosts: newHosts(cfg), log: log,
		mail: NewMail(repository, ring, log), sessions: newSessions(ring, repository), printed: newPrinted(log), indexes: newIndexes(), workflows: newWorkflows(runner, log),
		running: newRunning(), asking: newAsking(), ctx: ctx, stop: stop,
	}
	e.all, e.profiles = newEverything(catalog, e.workflows), newProfiles(repository, catalog, e.workflows)
	e.parking, e.entries, e.watches = newParking(e), newEntries(e), newWatches(e)
	return e
}

// Close cuts the calls that wait for their clients and waits for them.
func (e *Endpoint) Close() {
	e.stop()
	e.work.Wait()
	e.parking.close()
	e.watches.close()
	e.mail.Close()
	e.sessions.close()
	e.all.close()
	e.printed.close()
	e.indexes.close()
	e.entries.close()
	e.profiles.close()
	e.workflows.close()
}

// Sweep forgets letters, sessions and calls whose time is up.
func (e *Endpoint) Sweep(ctx context.Context) error {
	const batch = 1_000
	for {
		n, err := e.repository.sweep(ctx, batch)
		if err != nil || n < batch {
			return err
		}
	}
}
