-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_jobs.outbox_refused;
CREATE INDEX CONCURRENTLY outbox_refused ON uaol_jobs.outbox (created_at, event_id) WHERE refused IS NOT NULL;
