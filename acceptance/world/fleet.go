package world

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"

	"uaol/app"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// Fleet is a World of several processes for each service, each of which can be
// restarted. Processes of one service share a directory for data.
type Fleet struct {
	*World
	Gateways  []string // base URLs
	Processes []*Process
}

// Process is one of a Fleet's.
type Process struct {
	Service services.Name
	URL     string
	world   *World
	values  map[string]string
	running *fx.App
}

// StartFleet runs n processes of each service, which know each other by all their
// addresses. With UAOL_PEER_TLS_CERT they show each other certificates.
func StartFleet(t testing.TB, settings Settings, n int) *Fleet {
	t.Helper()
	w := &World{URLs: map[services.Name]string{}, AdminKey: AdminKey, Database: pgtest.URL(t)}
	f := &Fleet{World: w}
	for _, name := range app.Services() {
		var urls []string
		scheme := "http://"
		if settings["UAOL_PEER_TLS_CERT"] != "" && name != services.Gateway {
			scheme = "https://"
		}
		for range n {
			urls = append(urls, scheme+freeAddress(t))
			f.Processes = append(f.Processes, &Process{Service: name, URL: urls[len(urls)-1], world: w})
		}
		w.URLs[name] = strings.Join(urls, ",")
		if name == services.Gateway {
			f.Gateways, w.Gateway = urls, urls[0]
		}
	}
	t.Cleanup(func() {
		var running []*fx.App
		for _, p := range f.Processes {
			if p.running != nil {
				running = append(running, p.running)
			}
		}
		stop(t, running)
	})
	data := map[services.Name]string{}
	for _, p := range f.Processes {
		p.values = w.values(t, w.Database, p.URL[strings.Index(p.URL, "//")+2:], settings)
		if data[p.Service] == "" {
			data[p.Service] = p.values["UAOL_DATA_DIR"]
		}
		p.values["UAOL_DATA_DIR"] = data[p.Service]
		if settings["DATABASE_POOL_MAX"] == "" {
			p.values["DATABASE_POOL_MAX"] = "5" // there are many of them
		}
		if err := p.start(); err != nil {
			t.Fatalf("world: %s: %v", p.Service, err)
		}
	}
	for _, p := range f.Processes {
		if strings.HasPrefix(p.URL, "http:") {
			Until(t, p.URL+" is ready", func() bool { return New(p.URL).Do(t, http.MethodGet, "/readyz", nil).Status == http.StatusOK })
		}
	}
	for _, url := range f.Gateways {
		Until(t, "all are ready for "+url, func() bool {
			return !strings.Contains(string(New(url).Do(t, http.MethodGet, "/services", nil).Body), `"ready":false`)
		})
	}
	HTTP.CloseIdleConnections() // a process that stops would wait for them
	return f
}

func (p *Process) start() (err error) {
	p.running, err = p.world.begin(p.values, []services.Name{p.Service})
	return err
}

// Restart ends the process as a signal would and puts another in its place. It tells
// how long the end took.
func (p *Process) Restart() (stopped time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	before, begun := p.running, time.Now()
	p.running = nil
	if err := before.Stop(ctx); err != nil {
		return 0, err
	}
	return time.Since(begun), p.start()
}
