package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/migrations"
	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/health"
	"uaol/providers/limits"
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
	drain    time.Duration
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
	Log        *zap.Logger
	Lifecycle  fx.Lifecycle
	Shutdowner fx.Shutdowner
}

// NewServer ties a server for the engine to the process's life.
func NewServer(p serverParams) *Server {
	s := &Server{health: p.Health, log: p.Log.Named("http"), drain: p.Config.Drain}
	s.addr, s.variable = p.Config.Address(p.Identity.Set[0])
	s.failed = func(err error) {
		s.log.Error("serving failed, stopping", zap.Error(err))
		_ = p.Shutdowner.Shutdown(fx.ExitCode(1))
	}
	s.http = &http.Server{
		Handler:           crossOrigin(p.Config.Origins).Handler(p.Engine),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(s.log),
	}
	p.Lifecycle.Append(fx.Hook{OnStart: s.start, OnStop: s.stop})
	return s
}

func crossOrigin(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{api.GuestHeader, api.RequestHeader, "Retry-After"},
		MaxAge:         600,
	})
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
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed(err)
		}
	}()
	s.log.Info("listening", zap.Stringer("address", s.bound))
	return nil
}

// stop is seen by load balancers first, lets open requests end, and cuts what
// is still open when their time is up.
func (s *Server) stop(ctx context.Context) error {
	s.health.Stopping()
	ctx, cancel := context.WithTimeout(ctx, s.drain)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("some requests did not end in time and were cut")
		return s.http.Close()
	}
	return nil
}
