-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_billing.outbox_refused;
