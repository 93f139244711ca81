-- Jobs, what waits, what is being worked on, and what steps came to, apart: a job
-- is written when it is made and when it ends; only narrow rows come and go in
-- between. Definitions and results are kept as they were written (text): jsonb
-- rewrites numbers and refuses some texts.
ALTER TABLE uaol_jobs.steps RENAME TO old_steps;
ALTER TABLE uaol_jobs.jobs RENAME TO old_jobs;
DROP INDEX uaol_jobs.jobs_claim;
DROP INDEX uaol_jobs.jobs_owner;

CREATE TABLE uaol_jobs.jobs (
    job_id           uuid NOT NULL,
    organization_id  uuid NOT NULL,
    account_id       uuid NOT NULL, -- who made it
    key_id           uuid,          -- with which API key
    definition       text NOT NULL, -- the workflow
    plan             text NOT NULL, -- versions and prices of its steps, frozen when it was made
    input            text,
    metadata         text,          -- what its maker wants to find it by
    callback_url     text,          -- told of its end
    status           text NOT NULL DEFAULT 'Queued' CHECK (status IN ('Queued', 'Running', 'Success', 'Failed', 'Retrying', 'Cancelled')), -- Queued until it has ended
    cost             bigint NOT NULL CHECK (cost >= 0),              -- credits held when it was made
    spent            bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),   -- credits charged
    priority         smallint NOT NULL DEFAULT 0,
    turn             text,          -- organisation/concurrency_key: one of those at a time
    deadline         timestamptz,
    request_digest   bytea,         -- of a request with an Idempotency-Key, which the id is made of
    workflow_id      uuid,          -- saved, and its version
    workflow_version bigint,
    parent_id        uuid,          -- the job, and its step (position and item), that this one is a step of
    parent_position  integer,
    parent_item      integer,
    seq              bigint NOT NULL DEFAULT 0, -- of its last change
    retries          integer NOT NULL DEFAULT 0, -- how often it was taken up again after it had failed
    attempts         integer NOT NULL DEFAULT 0, -- workers that have had it
    output           text,          -- where the definition says what it is; else the steps' results
    error_message    text,
    start_time       timestamptz,
    end_time         timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_id PRIMARY KEY (job_id)
);
CREATE INDEX jobs_by_owner ON uaol_jobs.jobs (organization_id, created_at DESC, job_id DESC);

-- What waits for a worker (wake_at is null), for a moment or for somebody.
CREATE TABLE uaol_jobs.queue (
    job_id      uuid NOT NULL PRIMARY KEY,
    lane        uuid NOT NULL,              -- whose turn it is: the account's that made it
    priority    smallint NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    wake_at     timestamptz,                -- the year 9999 waits for somebody
    turn        text,                       -- of one that waits for its turn
    fence       bigint NOT NULL DEFAULT 0,  -- grows with every claim
    status      text NOT NULL DEFAULT 'Queued',
    cancel      boolean NOT NULL DEFAULT false,
    started_at  timestamptz
);
CREATE INDEX queue_ready ON uaol_jobs.queue (lane, priority DESC, enqueued_at, job_id) WHERE wake_at IS NULL;
CREATE INDEX queue_turns ON uaol_jobs.queue (turn, priority DESC, enqueued_at) WHERE turn IS NOT NULL;
CREATE INDEX queue_timers ON uaol_jobs.queue (wake_at) WHERE wake_at IS NOT NULL;

-- What a worker has. A worker that lost a job finds its fence here no more.
CREATE TABLE uaol_jobs.runs (
    job_id     uuid NOT NULL PRIMARY KEY,
    worker_id  uuid NOT NULL,
    fence      bigint NOT NULL,
    cancel     boolean NOT NULL DEFAULT false,
    pokes      bigint NOT NULL DEFAULT 0, -- what came from outside since the claim
    started_at timestamptz NOT NULL
);

-- Whose turn it is among jobs of one concurrency_key. Whoever makes such a job, or
-- ends one, locks the row: nobody is overlooked.
CREATE TABLE uaol_jobs.turns (
    turn    text NOT NULL PRIMARY KEY,
    job_id  uuid NOT NULL,
    waiting bigint NOT NULL DEFAULT 0 -- how many have ever waited
);

-- Who is to be told of a job's end, and how that went. A job that ends again tells
-- of it again: its row is then about that end.
CREATE TABLE uaol_jobs.callbacks (
    job_id        uuid NOT NULL PRIMARY KEY,
    event_id      uuid NOT NULL DEFAULT gen_random_uuid(), -- names the end to the receiver, however often it is told
    lane          text NOT NULL,              -- organisation/host: whose receivers wait for each other
    url           text NOT NULL,
    status        text NOT NULL,              -- the job's
    error_message text,
    ended_at      timestamptz NOT NULL DEFAULT now(),
    attempts      integer NOT NULL DEFAULT 0, -- to tell it
    due_at        timestamptz DEFAULT now(),  -- ahead while somebody tells it; null once it is told, or given up
    delivered_at  timestamptz,
    last_error    text
);
CREATE INDEX callbacks_due ON uaol_jobs.callbacks (lane, due_at) WHERE due_at IS NOT NULL;

-- Jobs that have failed, or were cancelled: few, and looked for among many.
CREATE TABLE uaol_jobs.failures (
    job_id          uuid NOT NULL PRIMARY KEY,
    organization_id uuid NOT NULL,
    status          text NOT NULL,
    created_at      timestamptz NOT NULL, -- the job's
    redriven        uuid                  -- the job that was made of it
);
CREATE INDEX failures_by_owner ON uaol_jobs.failures (organization_id, status, created_at DESC, job_id DESC);

-- One lease a worker, not one a job.
CREATE TABLE uaol_jobs.workers (
    worker_id   uuid NOT NULL PRIMARY KEY,
    lease_until timestamptz NOT NULL
);

-- What steps came to; one whose turn has not come has no row.
CREATE TABLE uaol_jobs.steps (
    job_id     uuid NOT NULL,
    position   integer NOT NULL, -- in the definition
    item       integer NOT NULL, -- of for_each, from 0; -1 is the step itself
    status     text NOT NULL CHECK (status IN ('Pending', 'Running', 'Retrying', 'Waiting', 'Unknown', 'Success', 'Failed', 'Skipped', 'Cancelled')),
    attempt    integer NOT NULL,
    seq        bigint NOT NULL,  -- of the job's change that wrote it
    result     text,
    error      text,
    detail     text,             -- what waits: the call to approve, the child, the moment
    start_time timestamptz,
    end_time   timestamptz,
    PRIMARY KEY (job_id, position, item)
);

INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, attempts, error_message, start_time, end_time, created_at, updated_at)
SELECT j.job_id, j.organization_id, j.account_id, j.workflow_definition::text,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(s.tool_version, s.price, 0) ORDER BY s.position), '[]')::text FROM uaol_jobs.old_steps s WHERE s.job_id = j.job_id),
    CASE WHEN j.claim_at IS NULL THEN j.status ELSE 'Queued' END, j.cost, j.fence::integer, j.error_message, j.start_time, j.end_time, j.created_at, j.updated_at
FROM uaol_jobs.old_jobs j;
INSERT INTO uaol_jobs.queue (job_id, lane, priority, enqueued_at, fence, status, cancel, started_at)
SELECT job_id, account_id, 0, created_at, fence, CASE WHEN fence = 0 THEN 'Queued' ELSE 'Running' END, cancel_requested, start_time
FROM uaol_jobs.old_jobs WHERE claim_at IS NOT NULL;
INSERT INTO uaol_jobs.steps (job_id, position, item, status, attempt, seq, result, error, start_time, end_time)
SELECT job_id, position, -1, status, attempt, 1, result::text, error, start_time, end_time FROM uaol_jobs.old_steps WHERE status <> 'Pending';
INSERT INTO uaol_jobs.failures (job_id, organization_id, status, created_at)
SELECT job_id, organization_id, status, created_at FROM uaol_jobs.jobs WHERE status IN ('Failed', 'Cancelled');
DROP TABLE uaol_jobs.old_steps;
DROP TABLE uaol_jobs.old_jobs;

-- What people have decided about steps that wait for that: about one attempt,
-- once.
CREATE TABLE uaol_jobs.decisions (
    job_id     uuid NOT NULL,
    position   integer NOT NULL,
    item       integer NOT NULL,
    attempt    integer NOT NULL,
    decision   text NOT NULL CHECK (decision IN ('retry', 'skip', 'fail', 'approve', 'reject')),
    account_id uuid NOT NULL,
    digest     text NOT NULL DEFAULT '', -- of the call that was approved
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, position, item, attempt)
);
CREATE INDEX decisions_account ON uaol_jobs.decisions (account_id);
