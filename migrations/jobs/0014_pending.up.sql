-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_jobs.outbox_pending;
CREATE INDEX CONCURRENTLY outbox_pending ON uaol_jobs.outbox (created_at, event_id) WHERE published_at IS NULL AND refused IS NULL;
