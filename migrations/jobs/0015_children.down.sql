-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_jobs.jobs_by_parent;
