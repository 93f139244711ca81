package brokers

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/events/kafka"
	"uaol/providers/events/nats"
	"uaol/providers/events/sqs"
	"uaol/providers/workers"
)

// Module provides events.Outlet, and the loop that hears what other processes have
// published.
var Module = fx.Module("brokers", config.For[Config](), fx.Provide(outlet, counts, feed))

// checkWithin is how long a broker may take to answer at the start.
const checkWithin = 10 * time.Second

// errNoQueue is of a broker that is named and lacks what it needs.
var errNoQueue = errors.New("SQS_QUEUE_URL is not set")

// Open makes the broker of a configuration, which connects to nobody yet; nil when
// it names none.
func Open(ctx context.Context, cfg Config) (events.Broker, error) {
	switch cfg.Type {
	case kindNATS:
		return nats.New(cfg.NATS, cfg.Topic), nil
	case kindKafka:
		options, err := cfg.kafka()
		if err != nil {
			return nil, err
		}
		return kafka.New(options)
	case kindSQS:
		if cfg.Queue == "" {
			return nil, errNoQueue
		}
		return sqs.New(ctx, cfg.Account, cfg.SQSRegion, cfg.Queue, cfg.Endpoint)
	}
	return nil, nil
}

// outlet looks for the broker when the process starts. One that can't be used stops
// production; in development its events wait in the database, and processes find
// them there meanwhile.
func outlet(cfg Config, log *zap.Logger, lifecycle fx.Lifecycle) (events.Outlet, error) {
	log = log.Named("events")
	if cfg.Type == kindNone {
		for _, variable := range cfg.idle {
			log.Warn(variable+" is set, but MQ_TYPE is not: events stay in the database", zap.String("variable", variable))
		}
	}
	broker, err := Open(context.Background(), cfg) // it may read files, and asks nobody
	if errors.Is(err, errNoQueue) && !cfg.Production() {
		log.Warn("MQ_TYPE is set, but events stay in the database", zap.Error(err))
		return events.Outlet{Kind: kindNone}, nil
	}
	if err != nil {
		return events.Outlet{}, &config.Fault{Variable: variables[cfg.Type], Value: cfg.address(), Secret: cfg.Type == kindNATS, Want: "a broker that can be used: " + err.Error()}
	}
	if broker == nil {
		return events.Outlet{Kind: kindNone}, nil
	}
	lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, checkWithin)
			defer cancel()
			err := broker.Check(ctx)
			switch {
			case err == nil:
				log.Info("events are published", zap.String("broker", cfg.Type), zap.String("topic", cfg.Topic))
			case cfg.Production():
				return &config.Fault{Variable: variables[cfg.Type], Value: cfg.address(), Secret: cfg.Type == kindNATS, Want: "a broker that answers: " + err.Error()}
			default:
				log.Warn("the broker can't be used yet; events wait in the database", zap.String("broker", cfg.Type), zap.Error(err))
			}
			return nil
		},
		OnStop: func(context.Context) error { broker.Close(); return nil },
	})
	return events.Outlet{Kind: cfg.Type, Broker: broker}, nil
}

func counts(registry *prometheus.Registry) (*events.Counts, error) {
	c := events.NewCounts()
	return c, registry.Register(c)
}

type loops struct {
	fx.Out
	Workers []workers.Worker `group:"workers,flatten"`
}

func feed(outlet events.Outlet, bus *events.Bus, log *zap.Logger) loops {
	if listener, ok := outlet.Broker.(events.Listener); ok {
		return loops{Workers: []workers.Worker{events.NewFeed(listener, bus, log).Worker()}}
	}
	return loops{}
}
