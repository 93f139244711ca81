-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_jobs.jobs_by_parent;
CREATE INDEX CONCURRENTLY jobs_by_parent ON uaol_jobs.jobs (parent_id) WHERE parent_id IS NOT NULL;
