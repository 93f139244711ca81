-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.outbox_refused;
