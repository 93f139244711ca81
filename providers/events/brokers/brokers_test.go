package brokers_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/events/brokers"
	"uaol/services"
)

// TestFaults: what is wrong is said of the variable that is to be mended, and of a
// broker that is not chosen nothing is.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ settings, fault string }{
		{"", ""},
		{"MQ_TYPE=None", ""},
		{"MQ_TYPE=rabbitmq", "MQ_TYPE"},
		{"UAOL_EVENTS_TOPIC=Ours", "UAOL_EVENTS_TOPIC"},
		{"UAOL_EVENTS_TOPIC=a..b", "UAOL_EVENTS_TOPIC"},
		{"MQ_TYPE=nats", ""},
		{"MQ_TYPE=nats NATS_URL=nats://a,tls://b:4223", ""},
		{"MQ_TYPE=nats NATS_URL=nats://a,http://b", "NATS_URL"},
		{"MQ_TYPE=nats NATS_URL=localhost:4222", "NATS_URL"},
		{"MQ_TYPE=kafka NATS_URL=localhost:4222", ""},
		{"MQ_TYPE=kafka", ""},
		{"MQ_TYPE=kafka KAFKA_BROKERS=tls://a:1,tls://b:2", ""},
		{"MQ_TYPE=kafka KAFKA_BROKERS=tls://a:1,b:2", "KAFKA_BROKERS"},
		{"MQ_TYPE=kafka KAFKA_BROKERS=a", "KAFKA_BROKERS"},
		{"MQ_TYPE=kafka KAFKA_BROKERS=:9092", "KAFKA_BROKERS"},
		{"MQ_TYPE=kafka KAFKA_PASSWORD=x", "KAFKA_USERNAME"},
		{"MQ_TYPE=kafka KAFKA_USERNAME=x", "KAFKA_PASSWORD"},
		{"MQ_TYPE=kafka KAFKA_USERNAME=x KAFKA_PASSWORD=y KAFKA_SASL=gssapi", "KAFKA_SASL"},
		{"MQ_TYPE=sqs SQS_QUEUE_URL=https://u:p@queue.test/1/q", "SQS_QUEUE_URL"},
		{"MQ_TYPE=sqs SQS_QUEUE_URL=queue", "SQS_QUEUE_URL"},
		{"MQ_TYPE=sqs SQS_ENDPOINT=ftp://queue.test", "SQS_ENDPOINT"},
		{"MQ_TYPE=sqs SQS_QUEUE_URL=https://queue.test/1/q AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY"},
	} {
		t.Run(test.settings, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse[brokers.Config](settings(test.settings))
			if test.fault == "" {
				require.NoError(t, err)
				return
			}
			var fault *config.Fault
			require.ErrorAs(t, err, &fault)
			require.Equal(t, test.fault, fault.Variable)
			require.NotEmpty(t, fault.Want)
			require.NotContains(t, err.Error(), "u:p@")
		})
	}
}

func settings(text string) *config.Environment {
	values := map[string]string{}
	for one := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(one, "=")
		values[name] = value
	}
	return config.Of(values)
}

func open(t *testing.T, text string) events.Broker {
	t.Helper()
	cfg, err := config.Parse[brokers.Config](settings(text))
	require.NoError(t, err)
	broker, err := brokers.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	return broker
}

// TestKafkaKnowsUs by each way of proving it, and by no other password.
func TestKafkaKnowsUs(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "uaol", "plainly"), kfake.Superuser("SCRAM-SHA-256", "uaol", "salted"), kfake.Superuser("SCRAM-SHA-512", "uaol", "more"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	at := "MQ_TYPE=kafka KAFKA_BROKERS=" + strings.Join(cluster.ListenAddrs(), ",")
	for how, password := range map[string]string{"": "plainly", "plain": "plainly", "scram-sha-256": "salted", "scram-sha-512": "more"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			with := at + " KAFKA_USERNAME=uaol KAFKA_SASL=" + how
			require.Error(t, open(t, with+" KAFKA_PASSWORD=another").Check(t.Context()))
			broker := open(t, with+" KAFKA_PASSWORD="+password)
			require.NoError(t, broker.Check(t.Context()))
			message, err := events.NewMessage(services.Registry, events.New("tool.updated", "s", uuid.New(), nil))
			require.NoError(t, err)
			require.Equal(t, []error{nil}, broker.Publish(t.Context(), []events.Message{message}))
		})
	}
	require.Error(t, open(t, at).Check(t.Context()), "without a name")
}

// TestKafkaIsAskedByTLS where its address says so.
func TestKafkaIsAskedByTLS(t *testing.T) {
	t.Parallel()
	hello := make(chan bool, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			hello <- true
			return nil, errors.New("enough")
		}}).Handshake()
	}()
	require.Error(t, open(t, "MQ_TYPE=kafka KAFKA_BROKERS=tls://"+listener.Addr().String()).Check(t.Context()))
	require.True(t, <-hello)
}

// TestStart: a broker that is not there stops production and nothing else, and a line
// says what becomes of events.
func TestStart(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	there := "MQ_TYPE=kafka KAFKA_BROKERS=" + strings.Join(cluster.ListenAddrs(), ",")
	for name, test := range map[string]struct{ settings, fault, line, kind string }{
		"none":                       {"", "", "", "none"},
		"named and not chosen":       {"NATS_URL=nats://" + nobody, "", "NATS_URL is set, but MQ_TYPE is not", "none"},
		"there":                      {there, "", "events are published", "kafka"},
		"there, in production":       {there + " NODE_ENV=production", "", "events are published", "kafka"},
		"away":                       {"MQ_TYPE=nats NATS_URL=nats://" + nobody, "", "events wait in the database", "nats"},
		"away, in production":        {"MQ_TYPE=nats NODE_ENV=production NATS_URL=nats://u:secret@" + nobody, "NATS_URL", "", ""},
		"without a queue":            {"MQ_TYPE=sqs", "", "events stay in the database", "none"},
		"without one, in production": {"MQ_TYPE=sqs NODE_ENV=production", "SQS_QUEUE_URL", "", ""},
		"Kafka, away, in production": {"MQ_TYPE=kafka NODE_ENV=production KAFKA_BROKERS=" + nobody, "KAFKA_BROKERS", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zap.InfoLevel)
			var outlet events.Outlet
			app := fx.New(fx.NopLogger, config.Module(settings(test.settings)), brokers.Module,
				fx.Supply(zap.New(core)), fx.Provide(prometheus.NewRegistry, events.NewBus), fx.Populate(&outlet))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			err := app.Start(ctx)
			if test.fault != "" {
				var fault *config.Fault
				require.ErrorAs(t, err, &fault)
				require.Equal(t, test.fault, fault.Variable)
				require.NotContains(t, err.Error(), "secret")
				require.Equal(t, !strings.Contains(test.settings, test.fault+"="), strings.Contains(err.Error(), "is not set"), err)
				return
			}
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, app.Stop(context.Background())) })
			require.Equal(t, test.kind, outlet.Kind)
			require.Equal(t, test.kind != "none", outlet.Open())
			if test.line == "" {
				require.Zero(t, logs.Len())
			} else {
				require.Equal(t, 1, logs.FilterMessageSnippet(test.line).Len(), "%v", logs.All())
			}
		})
	}
}
