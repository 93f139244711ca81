-- Saved workflows. What one says is in its versions, which nobody changes.
CREATE TABLE uaol_jobs.workflows (
    workflow_id     uuid NOT NULL PRIMARY KEY,
    organization_id uuid NOT NULL,
    account_id      uuid NOT NULL,            -- who made it
    name            text NOT NULL,
    description     text NOT NULL DEFAULT '',
    version         bigint NOT NULL,          -- the newest
    archived_at     timestamptz,              -- since then nothing new begins
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX workflows_name ON uaol_jobs.workflows (organization_id, name) WHERE archived_at IS NULL;
CREATE INDEX workflows_by_owner ON uaol_jobs.workflows (organization_id, created_at DESC, workflow_id DESC);

CREATE TABLE uaol_jobs.workflow_versions (
    workflow_id uuid NOT NULL,
    version     bigint NOT NULL, -- from 1, without gaps
    definition  text NOT NULL,   -- as it was written
    account_id  uuid NOT NULL,   -- who wrote it
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT workflow_versions_once PRIMARY KEY (workflow_id, version)
);
