-- How many jobs were made in each minute, and how many came to which end; counted by the
-- statements that make and end them.
CREATE TABLE uaol_jobs.job_minutes (
    organization_id uuid NOT NULL,
    minute          timestamptz NOT NULL,
    shard           smallint NOT NULL, -- who counts at the same time has rows of his own; they are added up
    status          text NOT NULL,     -- Queued of jobs that were made, else what they ended as
    jobs            bigint NOT NULL,
    credits         bigint NOT NULL,   -- charged at their end
    PRIMARY KEY (organization_id, minute, shard, status)
);
CREATE INDEX job_minutes_age ON uaol_jobs.job_minutes (minute);
