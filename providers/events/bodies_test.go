package events_test

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	natsserver "github.com/nats-io/nats-server/v2/server"
	natsclient "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"uaol/providers/amazon"
	"uaol/providers/events/kafka"
	"uaol/providers/events/nats"
	"uaol/providers/events/sqs"
	"uaol/providers/events/sqs/sqstest"
)

// newNATS runs NATS's own server in this process.
func newNATS(t testing.TB) body {
	dir := t.TempDir()
	start := func(port int) *natsserver.Server {
		server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
		require.NoError(t, err)
		server.Start()
		require.True(t, server.ReadyForConnections(10*time.Second))
		return server
	}
	server := start(natsserver.RANDOM_PORT)
	port := server.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	url := "nats://127.0.0.1:" + strconv.Itoa(port)
	return body{
		Broker: nats.New(url, "uaol.events"), once: true,
		down: func(*testing.T) { server.Shutdown(); server.WaitForShutdown() },
		up:   func(*testing.T) { server = start(port) },
		received: func(t *testing.T, least int) (all [][]byte) {
			conn, err := natsclient.Connect(url)
			require.NoError(t, err)
			defer conn.Close()
			js, err := jetstream.New(conn)
			require.NoError(t, err)
			consumer, err := js.OrderedConsumer(t.Context(), "UAOL", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"uaol.events.>"}})
			require.NoError(t, err)
			info, err := consumer.Info(t.Context())
			require.NoError(t, err)
			for range info.NumPending {
				m, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
				require.NoError(t, err)
				all = append(all, m.Data())
			}
			require.GreaterOrEqual(t, len(all), least)
			return all
		},
	}
}

// newKafka runs franz-go's server, which speaks Kafka's protocol, in this process.
func newKafka(t *testing.T) body {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(3))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	var away atomic.Bool
	cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, net.ErrClosed, away.Load() // it hangs up
	})
	broker, err := kafka.New(kafka.Options{Brokers: cluster.ListenAddrs(), Topic: "uaol.events"})
	require.NoError(t, err)
	return body{
		Broker: broker,
		down:   func(*testing.T) { away.Store(true) },
		up:     func(*testing.T) { away.Store(false) },
		received: func(t *testing.T, least int) (all [][]byte) {
			client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("uaol.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			require.NoError(t, err)
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for len(all) < least {
				fetched := client.PollFetches(ctx)
				require.NoError(t, fetched.Err0())
				fetched.EachRecord(func(r *kgo.Record) { all = append(all, r.Value) })
			}
			return all
		},
	}
}

func newSQS(t *testing.T, queue string) body {
	fake := sqstest.New(t)
	account := amazon.Account{Region: "eu-west-1", Key: "AKIA" + uuid.NewString()[:8], Secret: uuid.NewString()}
	broker, err := sqs.New(t.Context(), account, "", fake.URL+"/000000000000/"+queue, fake.URL)
	require.NoError(t, err)
	fifo := queue == "events.fifo"
	return body{
		Broker: broker, once: fifo, unsorted: !fifo, fake: fake,
		down:     func(*testing.T) { fake.Down(true) },
		up:       func(*testing.T) { fake.Down(false) },
		received: func(*testing.T, int) [][]byte { return fake.Received() },
	}
}
