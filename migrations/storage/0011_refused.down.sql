-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_storage.outbox_refused;
