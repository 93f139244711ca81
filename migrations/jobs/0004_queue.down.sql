-- Back to one table of jobs with their claims. What waits, or is worked on, may be
-- claimed anew; what only the newer form knows is lost.
ALTER TABLE uaol_jobs.jobs RENAME TO new_jobs;
ALTER TABLE uaol_jobs.steps RENAME TO new_steps;
CREATE TABLE uaol_jobs.jobs (
    job_id              uuid PRIMARY KEY,
    organization_id     uuid NOT NULL,
    account_id          uuid NOT NULL,
    workflow_definition jsonb NOT NULL,
    status              text NOT NULL CHECK (status IN ('Queued', 'Running', 'Success', 'Failed', 'Retrying', 'Cancelled')),
    cost                bigint NOT NULL CHECK (cost >= 0),
    error_message       text,
    retry_count         integer NOT NULL DEFAULT 0,
    start_time          timestamptz,
    end_time            timestamptz,
    cancel_requested    boolean NOT NULL DEFAULT false,
    claim_at            timestamptz DEFAULT now(),
    fence               bigint NOT NULL DEFAULT 0,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
DROP INDEX uaol_jobs.jobs_by_owner;
CREATE INDEX jobs_claim ON uaol_jobs.jobs (claim_at) WHERE claim_at IS NOT NULL;
CREATE INDEX jobs_owner ON uaol_jobs.jobs (organization_id, created_at DESC, job_id DESC);
CREATE TABLE uaol_jobs.steps (
    job_id       uuid NOT NULL REFERENCES uaol_jobs.jobs (job_id) ON DELETE CASCADE,
    step_id      text NOT NULL,
    position     integer NOT NULL,
    tool_id      uuid NOT NULL,
    tool_version bigint NOT NULL,
    action       text NOT NULL,
    price        bigint NOT NULL CHECK (price >= 0),
    status       text NOT NULL CHECK (status IN ('Pending', 'Running', 'Success', 'Failed', 'Skipped', 'Cancelled', 'Unknown', 'Waiting')),
    attempt      integer NOT NULL DEFAULT 0,
    result       jsonb,
    error        text,
    start_time   timestamptz,
    end_time     timestamptz,
    PRIMARY KEY (job_id, step_id)
);
INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, workflow_definition, status, cost, error_message, retry_count, start_time, end_time,
    cancel_requested, claim_at, fence, created_at, updated_at)
SELECT j.job_id, j.organization_id, j.account_id, j.definition::jsonb,
    CASE WHEN j.end_time IS NOT NULL THEN j.status WHEN coalesce(q.fence, r.fence) > 0 THEN 'Running' ELSE 'Queued' END,
    j.cost, j.error_message, greatest(coalesce(q.fence, r.fence, j.attempts) - 1, 0)::integer, coalesce(j.start_time, q.started_at, r.started_at), j.end_time,
    coalesce(q.cancel, r.cancel, false), CASE WHEN j.end_time IS NULL THEN now() END, coalesce(q.fence, r.fence, j.attempts), j.created_at, j.updated_at
FROM uaol_jobs.new_jobs j LEFT JOIN uaol_jobs.queue q ON q.job_id = j.job_id LEFT JOIN uaol_jobs.runs r ON r.job_id = j.job_id;
INSERT INTO uaol_jobs.steps (job_id, step_id, position, tool_id, tool_version, action, price, status, attempt, result, error, start_time, end_time)
SELECT j.job_id, d.step->>'id', (d.n - 1)::integer, (d.step->>'tool_id')::uuid, coalesce((j.plan::jsonb->(d.n - 1)::integer->>0)::bigint, 0),
    d.step->>'action', coalesce((j.plan::jsonb->(d.n - 1)::integer->>1)::bigint, 0),
    CASE WHEN s.status = 'Retrying' THEN 'Pending' WHEN s.status IS NOT NULL THEN s.status WHEN j.end_time IS NOT NULL THEN 'Skipped' ELSE 'Pending' END,
    coalesce(s.attempt, 0), s.result::jsonb, s.error, s.start_time, s.end_time
FROM uaol_jobs.new_jobs j
CROSS JOIN LATERAL jsonb_array_elements(j.definition::jsonb->'steps') WITH ORDINALITY AS d (step, n)
LEFT JOIN uaol_jobs.new_steps s ON s.job_id = j.job_id AND s.position = d.n - 1 AND s.item = -1
WHERE d.step->>'tool_id' IS NOT NULL;
DROP TABLE uaol_jobs.new_steps;
DROP TABLE uaol_jobs.new_jobs;
DROP TABLE uaol_jobs.queue;
DROP TABLE uaol_jobs.runs;
DROP TABLE uaol_jobs.workers;
DROP TABLE uaol_jobs.decisions;
DROP TABLE uaol_jobs.turns;
DROP TABLE uaol_jobs.callbacks;
DROP TABLE uaol_jobs.failures;
