package app

import (
	"uaol/app/backup"
	"uaol/migrations"
	"uaol/providers/blobs/s3"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/embeddings"
	"uaol/providers/events/brokers"
	"uaol/providers/httpserver"
	"uaol/providers/keyring"
	"uaol/providers/limits"
	"uaol/providers/llm"
	"uaol/providers/logging"
	"uaol/providers/mail"
	"uaol/providers/metrics"
	"uaol/providers/peers"
	"uaol/providers/postgres"
	"uaol/providers/telemetry"
	"uaol/services/auth"
	"uaol/services/auth/modelkeys"
	"uaol/services/auth/oauth"
	"uaol/services/auth/oidc"
	"uaol/services/billing"
	"uaol/services/billing/ledger"
	"uaol/services/billing/payments"
	"uaol/services/gateway/chat"
	"uaol/services/gateway/speech"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/registry"
	"uaol/services/registry/credentials"
	"uaol/services/storage"
	"uaol/services/storage/documents"
	"uaol/services/storage/ocr"
)

// Settings lists every variable that any process reads. A test holds it
// against the graph and against .env.example.
func Settings() []config.Setting { return config.Describe(Configs()...) }

// Configs are all structs that settings are read into.
func Configs() []any {
	return []any{
		config.Process{}, logging.Config{}, postgres.Config{}, migrations.Config{}, httpserver.Config{}, limits.Config{},
		peers.Config{}, egress.Config{}, llm.Config{}, auth.Config{}, oidc.Config{}, oauth.Config{}, modelkeys.Config{}, embeddings.Config{}, keyring.Config{}, mail.Config{}, credentials.Config{}, chat.Config{}, speech.Config{}, storage.Config{}, documents.Config{}, ocr.Config{}, s3.Config{}, metrics.Config{}, telemetry.Config{}, brokers.Config{}, Inherited{}, Remote{}, backup.Config{},
		auth.ClientConfig{}, registry.Config{}, registry.ClientConfig{}, proxy.Config{}, proxy.ClientConfig{}, jobs.Config{}, jobs.ClientConfig{}, billing.ClientConfig{}, billing.PlansConfig{}, payments.Config{}, ledger.Config{}, storage.ClientConfig{},
	}
}
