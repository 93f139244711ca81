-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_storage.outbox_refused;
CREATE INDEX CONCURRENTLY outbox_refused ON uaol_storage.outbox (created_at, event_id) WHERE refused IS NOT NULL;
