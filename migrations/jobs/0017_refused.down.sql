-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_jobs.outbox_refused;
