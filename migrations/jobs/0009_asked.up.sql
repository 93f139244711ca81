-- Apart from the step before: in the transaction that adds a column CockroachDB lets
-- nobody write it (https://github.com/cockroachdb/cockroach/issues/31463), nor have
-- it in an index's WHERE (https://github.com/cockroachdb/cockroach/issues/83593).
UPDATE uaol_jobs.steps s SET asks = j.organization_id
FROM uaol_jobs.jobs j
WHERE j.job_id = s.job_id AND j.end_time IS NULL AND (s.status = 'Unknown'
    -- An approval waits with what it asks, a sleep with a moment, a child with its job.
    OR s.status = 'Waiting' AND s.detail LIKE '{%' AND s.detail !~ '^[{]"expires_at":"[^"]*","job_id":');
CREATE INDEX steps_asked ON uaol_jobs.steps (asks, start_time DESC, job_id DESC, position DESC, item DESC) WHERE asks IS NOT NULL;
