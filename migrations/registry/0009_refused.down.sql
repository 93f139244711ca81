-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_registry.outbox_refused;
