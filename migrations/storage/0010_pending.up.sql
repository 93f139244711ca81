-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_storage.outbox_pending;
CREATE INDEX CONCURRENTLY outbox_pending ON uaol_storage.outbox (created_at, event_id) WHERE published_at IS NULL AND refused IS NULL;
