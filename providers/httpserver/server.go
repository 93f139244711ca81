package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/health"
	"uaol/providers/limits"
	"uaol/providers/peers"
	"uaol/providers/workers"
)

// Module provides the router and the server.
var Module = fx.Module("httpserver",
	config.For[Config](),
	limits.Module,
	fx.Provide(NewRouter, NewServer),
)

// Server is the process's listener.
type Server struct {
	http     *http.Server
	health   *health.Checks
	log      *zap.Logger
	addr     string
	variable string
	drain    *drain
	most     int // connections at once
	bound    net.Addr
	failed   func(error)
}

type serverParams struct {
	fx.In
	Config     Config
	Checked    config.Checked
	Identity   Identity
	Engine     *gin.Engine
	Health     *health.Checks
	Current    *migrations.Current // it serves only once the tables are there
	Workers    *workers.Running    // it stops serving before they stop
	Whole      peers.Whole
	Process    config.Process
	Peers      peers.Config
	Log        *zap.Logger
	Lifecycle  fx.Lifecycle
	Shutdowner fx.Shutdowner
}

// NewServer ties a server for the engine to the process's life.
func NewServer(p serverParams) (*Server, error) {
	s := &Server{health: p.Health, log: p.Log.Named("http"), drain: newDrain(p.Config, bool(p.Whole) && !p.Process.Production())}
	s.addr, s.variable = p.Config.Address(p.Identity.Set[0])
	s.failed = func(err error) {
		s.log.Error("serving failed, stopping", zap.Error(err))
		_ = p.Shutdowner.Shutdown(fx.ExitCode(1))
	}
	s.most = p.Config.Most
	trusted, err := parseProxies(p.Config.Proxies)
	if err != nil {
		return nil, err
	}
	s.http = newHTTP(usual, s.log, s.drain.handler(edge(trusted, usual, p.Config.Origins, p.Engine)))
	s.http.BaseContext = s.drain.base
	certificates, err := p.certificates()
	if err != nil {
		return nil, err
	}
	if certificates != nil {
		s.http.TLSConfig = certificates.ServerConfig()
	}
	s.http.ConnState = s.drain.count
	p.Lifecycle.Append(fx.Hook{OnStart: s.start, OnStop: s.stop})
	return s, nil
}

// edge is what stands between the listener and the router.
func edge(trusted proxies, wait patience, origins []string, router http.Handler) http.Handler {
	return trusted.notice(wait.limit(guarded(crossOrigin(origins).Handler(router))))
}

func newHTTP(wait patience, log *zap.Logger, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: wait.header,
		IdleTimeout:       wait.idle,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: wait.answer, WriteByteTimeout: wait.answer},
		ErrorLog:          zap.NewStdLog(log),
	}
}

// Addr is where the server listens, once it has started.
func (s *Server) Addr() net.Addr { return s.bound }

func (s *Server) start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %s is taken by another process; stop that one or choose another with %s or --addr",
			s.variable, s.addr, s.variable)
	}
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w", s.variable, s.addr, err)
	}
	s.bound = listener.Addr()
	listener = netutil.LimitListener(listener, s.most)
	serve, secure := s.http.Serve, s.http.TLSConfig != nil // it has one of its own once it serves
	if secure {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed(err)
		}
	}()
	s.log.Info("listening", zap.Stringer("address", s.bound), zap.Bool("tls", secure))
	return nil
}

// stop is seen by load balancers and by our own services first, while requests are
// still taken; then it lets open ones end, and cuts what is open when their time is up.
func (s *Server) stop(ctx context.Context) error {
	s.health.Stopping()
	ctx, cancel := context.WithTimeout(ctx, s.drain.timeout)
	defer cancel()
	s.drain.wait(ctx)
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("some requests did not end in time and were cut")
		return s.http.Close()
	}
	return nil
}
