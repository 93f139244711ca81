-- Jobs that ended a while ago, each with its steps as one compressed document:
-- what is worked on stays small.
CREATE TABLE uaol_jobs.archive (
    job_id          uuid NOT NULL PRIMARY KEY,
    organization_id uuid NOT NULL,
    account_id      uuid NOT NULL,
    status          text NOT NULL,
    created_at      timestamptz NOT NULL,
    end_time        timestamptz NOT NULL,
    document        bytea NOT NULL -- gzip of JSON; see services/jobs/archive.go
);
CREATE INDEX archive_by_owner ON uaol_jobs.archive (organization_id, created_at DESC, job_id DESC);
CREATE INDEX archive_by_account ON uaol_jobs.archive (account_id);
