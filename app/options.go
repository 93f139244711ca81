package app

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/app/backup"
	"uaol/app/reference"
	"uaol/migrations"
	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/events/brokers"
	"uaol/providers/health"
	"uaol/providers/httpserver"
	"uaol/providers/instance"
	"uaol/providers/keyring"
	"uaol/providers/llm"
	"uaol/providers/logging"
	"uaol/providers/metrics"
	"uaol/providers/peers"
	"uaol/providers/postgres"
	"uaol/providers/postgres/embedded"
	"uaol/providers/telemetry/otlp"
	"uaol/providers/upstream"
	"uaol/providers/workers"
	"uaol/services"
)

// shared is what every process has, whatever services it runs.
var shared = fx.Options(
	logging.Module,
	logging.Quiet,
	metrics.Module,
	otlp.Module,
	postgres.Module,
	migrations.Module,
	health.Module,
	workers.Module,
	peers.Module,
	httpserver.Module,
	upstream.Module,
	llm.Module,
	brokers.Module,
	config.For[egress.Config](),
	config.For[Inherited](),
	fx.Supply(embedded.Carry(backup.Carry)),
	fx.Provide(egress.New, events.NewBus, document, instance.New, surroundings, pruner),
)

// Options is a process that runs the given services; none means all. Fx builds
// only what is asked for, and all that is asked for is the server (and the
// operators' own): what it serves needs the rest.
func Options(env *config.Environment, set ...services.Name) fx.Option {
	return fx.Options(graph(env, set...), sight, fx.Invoke(func(*httpserver.Server, *metrics.Server) {}))
}

// graph is everything that such a process could build.
func graph(env *config.Environment, set ...services.Name) fx.Option {
	if len(set) == 0 {
		set = Services()
	}
	options := []fx.Option{
		config.Module(env),
		shared,
		fx.Supply(identityOf(set), peers.Whole(len(set) == len(catalog)), owners(set), config.Settings(Settings())),
	}
	if slices.ContainsFunc(set, func(name services.Name) bool { return name != services.Gateway }) { // which keeps nothing
		options = append(options, keyring.Module)
	}
	for _, r := range catalog {
		if slices.Contains(set, r.Name) {
			options = append(options, r.Module)
		} else {
			options = append(options, r.Remote)
		}
	}
	return fx.Options(options...)
}

// identityOf puts the set in the catalog's order.
func identityOf(set []services.Name) httpserver.Identity {
	identity := httpserver.Identity{Version: Version}
	for _, r := range catalog {
		if slices.Contains(set, r.Name) {
			identity.Set = append(identity.Set, r.Name)
		}
	}
	return identity
}

// owners lists those of the set that own tables, and what every process needs.
func owners(set []services.Name) migrations.Set {
	var owners migrations.Set
	for _, name := range migrations.Owners() {
		if slices.Contains(set, name) || name == migrations.Database {
			owners = append(owners, name)
		}
	}
	return owners
}

// pruner keeps the table of commits small. Every process does: what one has dropped
// another does not find.
func pruner(pool *pgxpool.Pool) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "commits", Run: workers.Every(10*time.Minute, func(ctx context.Context) error {
		return postgres.PruneCommits(ctx, pool)
	})}}
}

// surroundings keeps our own secrets from tools' processes, whatever an admin names.
func surroundings(env *config.Environment) upstream.Surroundings {
	secret := map[string]bool{}
	for _, setting := range Settings() {
		secret[setting.Variable] = setting.Secret
	}
	return func(name string) (string, bool) {
		if secret[name] {
			return "", false
		}
		return env.Lookup(name)
	}
}

// document lets every process describe the whole API, for programs and for people.
func document() httpserver.Extra {
	describe := sync.OnceValue(func() any { return api.Document("UAOL", Version, Operations()) })
	return httpserver.Extra{Mount: func(engine *gin.Engine) {
		engine.GET("/openapi.json", func(c *gin.Context) { c.JSON(http.StatusOK, describe()) })
		engine.GET("/docs", gin.WrapH(reference.Page))
	}}
}
