-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_billing.outbox_refused;
CREATE INDEX CONCURRENTLY outbox_refused ON uaol_billing.outbox (created_at, event_id) WHERE refused IS NOT NULL;
