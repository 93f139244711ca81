package world

import (
	"maps"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"uaol/providers/limits/redistest"
)

// InProduction runs two processes of each service behind a balancer, with a Redis
// and a NATS.
func InProduction(t testing.TB, settings Settings) *World {
	t.Helper()
	redis, _ := redistest.Start(t)
	more := Settings{"REDIS_URL": redis, "MQ_TYPE": "nats", "NATS_URL": startNATS(t), "UAOL_TRUSTED_PROXIES": "127.0.0.1"}
	maps.Copy(more, settings)
	f := StartFleet(t, more, 2)
	f.Gateway = Balance(t, f.Gateways).URL
	return f.World
}

// startNATS runs NATS's own server in this process until the test ends.
func startNATS(t testing.TB) (url string) {
	t.Helper()
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatalf("world: NATS: %v", err)
	}
	server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(30 * time.Second) {
		t.Fatal("world: NATS is not ready")
	}
	return server.ClientURL()
}
