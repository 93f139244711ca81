-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.outbox_refused;
CREATE INDEX CONCURRENTLY outbox_refused ON uaol_auth.outbox (created_at, event_id) WHERE refused IS NOT NULL;
