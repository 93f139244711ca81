package httpserver

import (
	"context"
	"errors"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/health"
	"uaol/providers/limits"
	"uaol/providers/telemetry"
	"uaol/services"
)

// Identity is what a process calls itself and which services it runs, the
// first one first.
type Identity struct {
	Version string
	Set     []services.Name
}

// Runs reports whether a service is part of this process.
func (i Identity) Runs(service services.Name) bool {
	for _, s := range i.Set {
		if s == service {
			return true
		}
	}
	return false
}

// displayNames are what the original's services call themselves in /health.
var displayNames = map[services.Name]string{
	services.Gateway: "api-gateway", services.Auth: "auth-service", services.Registry: "tool-registry-service",
	services.Jobs: "job-orchestration-service", services.Proxy: "tool-proxy-service",
	services.Billing: "billing-service", services.Storage: "storage-service",
}

// Routes are one service's operations.
type Routes struct {
	Service    services.Name
	Operations []api.Operation
}

// Out is how a module contributes its Routes.
type Out struct {
	fx.Out
	Routes Routes `group:"routes"`
}

// Extra mounts what is no operation: pages, and requests passed on.
type Extra struct {
	fx.Out
	Mount func(*gin.Engine) `group:"extras"`
}

type routerParams struct {
	fx.In
	Config        Config
	Identity      Identity
	Routes        []Routes            `group:"routes"`
	Extras        []func(*gin.Engine) `group:"extras"`
	Authenticator services.Authenticator
	Auditor       services.Auditor
	Service       api.ServiceGuard
	Limiter       *limits.Limiter
	Rates         limits.Rates `optional:"true"` // where the gateway runs
	Health        *health.Checks
	Tracer        telemetry.Tracer
	Metrics       *prometheus.Registry
	Log           *zap.Logger
	Lifecycle     fx.Lifecycle
}

// NewRouter mounts everything that this process answers.
func NewRouter(p routerParams) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	_ = engine.SetTrustedProxies(nil) // nobody's word about addresses is taken; nil can't fail
	log := p.Log.Named("http")
	engine.Use(newObserver(p.Tracer, p.Metrics).observe, identify, access(log), recovery(log))
	engine.NoRoute(func(c *gin.Context) {
		api.Fail(c, services.Errorf(services.NotFound, "Cannot %s %s", c.Request.Method, c.Request.URL.Path))
	})
	engine.NoMethod(func(c *gin.Context) {
		api.Fail(c, services.Errorf(services.NoMethod, "Cannot %s %s", c.Request.Method, c.Request.URL.Path))
	})
	mountHealth(engine, p.Identity, p.Health)
	guards := api.Guards{Authenticator: p.Authenticator, Service: p.Service, Auditor: p.Auditor, Public: p.Config.Public}
	bare := !p.Identity.Runs(services.Gateway)
	if !bare {
		requests := limits.NewRequests(p.Limiter, p.Rates)
		p.Lifecycle.Append(fx.StopHook(requests.Close))
		guards.Limit, guards.LimitTo, guards.Attempt = requests.Allow, requests.AllowTo, requests.Attempt
	}
	routes := append([]Routes(nil), p.Routes...)
	sort.Slice(routes, func(i, j int) bool { return routes[i].Service < routes[j].Service })
	for _, r := range routes {
		api.Mount(engine, guards, bare, r.Operations...)
	}
	for _, mount := range p.Extras {
		mount(engine)
	}
	return engine
}

func mountHealth(engine *gin.Engine, identity Identity, checks *health.Checks) {
	name := "uaol"
	if len(identity.Set) > 0 {
		name = displayNames[identity.Set[0]]
	}
	engine.GET("/health", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"service": name, "status": "healthy", "timestamp": services.Now()})
	})
	engine.GET("/livez", func(c *gin.Context) { c.JSON(http.StatusOK, api.Done("alive")) })
	engine.GET("/readyz", func(c *gin.Context) {
		results, ready := checks.Run(c.Request.Context())
		if ready {
			c.JSON(http.StatusOK, gin.H{"success": true, "data": gin.H{"services": identity.Set, "version": identity.Version, "checks": results}})
			return
		}
		message := "Not ready"
		for _, r := range results {
			if !r.OK {
				message += "; " + r.Name + ": " + r.Error
			}
		}
		api.Fail(c, services.Errorf(services.Unavailable, "%s", message).WithDetails(results))
	})
}

// identify gives every request an id: the client's if it is a harmless one.
func identify(c *gin.Context) {
	id := c.GetHeader(api.RequestHeader)
	if !harmless(id) {
		id = uuid.Must(uuid.NewV7()).String()
	}
	c.Header(api.RequestHeader, id)
	c.Request = c.Request.WithContext(services.WithRequestID(c.Request.Context(), id))
	c.Next()
}

func harmless(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return true
}

// access logs each request once, by route and not by query, which may hold
// secrets. What the caller is not told stands here.
func access(log *zap.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		begun := time.Now()
		c.Next()
		route := c.FullPath()
		if route == "/health" || route == "/livez" || route == "/readyz" {
			return
		}
		left := errors.Is(c.Request.Context().Err(), context.Canceled) // whoever asked: nothing has gone wrong
		if api.IsWithin(c.Request.Context()) && (left || c.Writer.Status() < http.StatusInternalServerError) {
			return
		}
		status, level := c.Writer.Status(), zap.InfoLevel
		if slow(c.Writer) {
			status = http.StatusRequestTimeout
		}
		switch {
		case status < http.StatusInternalServerError, left:
		case unset(c):
			level = zap.WarnLevel
		default:
			level = zap.ErrorLevel
		}
		entry := log.Check(level, "request")
		if entry == nil { // nobody reads it
			return
		}
		fields := []zap.Field{
			zap.String("method", c.Request.Method), zap.String("path", c.Request.URL.Path), zap.Int("status", status),
			zap.Duration("took", time.Since(begun)), zap.String("request", services.RequestID(c.Request.Context())),
			telemetry.Field(c.Request.Context()),
		}
		if caller := services.CallerFrom(c.Request.Context()); caller.Known() {
			fields = append(fields, zap.Stringer("account", caller.Account))
		}
		if last := c.Errors.Last(); last != nil {
			fields = append(fields, zap.NamedError("cause", causeOf(last.Err)))
		}
		entry.Write(fields...)
	}
}

// unset reports whether a request asked for what the operator has not set up:
// nothing has gone wrong.
func unset(c *gin.Context) bool {
	last := c.Errors.Last()
	return last != nil && strings.HasSuffix(api.CodeOf(causeOf(last.Err)), "NOT_CONFIGURED")
}

// causeOf is the innermost error that still says something.
func causeOf(err error) error {
	var body *api.ErrorBody
	if errors.As(err, &body) && body.Unwrap() != nil {
		return body.Unwrap()
	}
	return err
}

// recovery answers a panic in the contract's words and logs where it happened.
func recovery(log *zap.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is panicked with
				panic(p)
			}
			log.Error("panic", zap.Any("panic", p), zap.String("path", c.Request.URL.Path),
				zap.String("request", services.RequestID(c.Request.Context())), telemetry.Field(c.Request.Context()), zap.StackSkip("stack", 2))
			if !c.Writer.Written() {
				api.Fail(c, services.Errorf(services.Internal, "An internal error occurred"))
			}
			c.Abort()
		}()
		c.Next()
	}
}
