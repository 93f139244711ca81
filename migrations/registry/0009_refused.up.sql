-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_registry.outbox_refused;
CREATE INDEX CONCURRENTLY outbox_refused ON uaol_registry.outbox (created_at, event_id) WHERE refused IS NOT NULL;
