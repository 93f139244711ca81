CREATE TABLE uaol_jobs.jobs (
    job_id              uuid PRIMARY KEY,
    organization_id     uuid NOT NULL,
    account_id          uuid NOT NULL,
    workflow_definition jsonb NOT NULL,
    status              text NOT NULL CHECK (status IN ('Queued', 'Running', 'Success', 'Failed', 'Retrying', 'Cancelled')),
    cost                bigint NOT NULL CHECK (cost >= 0), -- credits held when it was created
    error_message       text,
    retry_count         integer NOT NULL DEFAULT 0,
    start_time          timestamptz,
    end_time            timestamptz,
    cancel_requested    boolean NOT NULL DEFAULT false,
    -- When a worker may take it: at once while it waits, at the end of its lease
    -- while somebody works on it, never (null) once it has ended.
    claim_at            timestamptz DEFAULT now(),
    -- Grows with every claim; a worker that lost its lease can't write any more.
    fence               bigint NOT NULL DEFAULT 0,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX jobs_claim ON uaol_jobs.jobs (claim_at) WHERE claim_at IS NOT NULL;
CREATE INDEX jobs_owner ON uaol_jobs.jobs (organization_id, created_at DESC, job_id DESC);

CREATE TABLE uaol_jobs.steps (
    job_id       uuid NOT NULL REFERENCES uaol_jobs.jobs (job_id) ON DELETE CASCADE,
    step_id      text NOT NULL,
    position     integer NOT NULL,
    tool_id      uuid NOT NULL,
    tool_version bigint NOT NULL,
    action       text NOT NULL,
    price        bigint NOT NULL CHECK (price >= 0), -- frozen when the job was created
    status       text NOT NULL CHECK (status IN ('Pending', 'Running', 'Success', 'Failed', 'Skipped', 'Cancelled', 'Unknown', 'Waiting')),
    attempt      integer NOT NULL DEFAULT 0,
    result       jsonb,
    error        text,
    start_time   timestamptz,
    end_time     timestamptz,
    PRIMARY KEY (job_id, step_id)
);
