-- Workflows that begin at moments of a timetable.
CREATE TABLE uaol_jobs.schedules (
    schedule_id      uuid NOT NULL PRIMARY KEY,
    organization_id  uuid NOT NULL,
    account_id       uuid NOT NULL, -- as whom its jobs are made: who changed it last
    key_id           uuid,          -- with which API key
    workflow_id      uuid,          -- saved; or a definition of its own
    workflow_version bigint,        -- null: the newest then
    definition       text,
    input            text,
    cron             text NOT NULL,
    time_zone        text NOT NULL, -- its IANA name
    missed           text NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    priority         smallint NOT NULL DEFAULT 0,
    concurrency_key  text,
    callback_url     text,
    metadata         text,
    enabled          boolean NOT NULL,
    next_at          timestamptz,   -- the next moment, or the first of those that are due; null while it is disabled
    as_of            timestamptz,   -- what was due then is being worked on: whoever takes over does the same
    claimed_until    timestamptz,   -- by one who works on it
    revision         bigint NOT NULL DEFAULT 0, -- grows with each change by somebody
    last_at          timestamptz,
    last_job         uuid,
    last_error       text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedules_of_what CHECK ((workflow_id IS NULL) <> (definition IS NULL)),
    CONSTRAINT schedules_enabled CHECK (enabled = (next_at IS NOT NULL))
);
CREATE INDEX schedules_by_owner ON uaol_jobs.schedules (organization_id, created_at DESC, schedule_id DESC);
CREATE INDEX schedules_due ON uaol_jobs.schedules (next_at) WHERE next_at IS NOT NULL;

-- What came of its moments, for 90 days.
CREATE TABLE uaol_jobs.schedule_runs (
    schedule_id  uuid NOT NULL,
    scheduled_at timestamptz NOT NULL,
    job_id       uuid,
    error        text, -- why there is no job
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_runs_once PRIMARY KEY (schedule_id, scheduled_at)
);
