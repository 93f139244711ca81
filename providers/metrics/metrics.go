// Package metrics collects what a process counts and shows it to Prometheus on
// the operators' own port.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/config"
)

// Config is where operators look.
type Config struct {
	Addr string `env:"UAOL_ADMIN_ADDR" want:"an address such as 127.0.0.1:9090" doc:"address of a second listener with /metrics for Prometheus and /debug/pprof for profiles, which show memory; off by default, and nothing there asks who is calling"`
}

// Check refuses what can't be listened on.
func (c *Config) Check() error {
	if c.Addr == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return &config.Fault{Variable: "UAOL_ADMIN_ADDR", Value: c.Addr, Want: "an address such as 127.0.0.1:9090"}
	}
	return nil
}

// Module provides *Server.
var Module = fx.Module("metrics", config.For[Config](), fx.Provide(NewRegistry, NewServer))

// NewRegistry makes the process's own registry, with the runtime's figures in it.
// Whoever counts something registers that in its module.go.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Server is the operators' listener; without an address there is none.
type Server struct {
	http  *http.Server
	log   *zap.Logger
	bound net.Addr
}

// NewServer ties the listener to the process's life.
func NewServer(cfg Config, _ config.Checked, registry *prometheus.Registry, log *zap.Logger, lifecycle fx.Lifecycle) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s := &Server{
		http: &http.Server{Addr: cfg.Addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		log:  log.Named("metrics"),
	}
	if cfg.Addr != "" {
		lifecycle.Append(fx.Hook{OnStart: s.start, OnStop: s.http.Shutdown})
	}
	return s
}

// Addr is where it listens, once it has started; nil when it does not.
func (s *Server) Addr() net.Addr { return s.bound }

func (s *Server) start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.http.Addr)
	if err != nil {
		return fmt.Errorf("UAOL_ADMIN_ADDR: cannot listen on %s: %w", s.http.Addr, err)
	}
	s.bound = listener.Addr()
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serving metrics failed", zap.Error(err))
		}
	}()
	s.log.Info("metrics at /metrics, profiles at /debug/pprof", zap.Stringer("address", s.bound))
	return nil
}
