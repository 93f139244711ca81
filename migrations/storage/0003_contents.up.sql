-- What files contain is kept once per organisation, however many files it has: a
-- content comes, is kept, and leaves, so that what a process left behind that died in
-- between is found by its row.
CREATE TABLE uaol_storage.contents (
    content_id      uuid PRIMARY KEY, -- its key in the store
    organization_id uuid NOT NULL,
    store           text NOT NULL,    -- directory or s3
    state           text NOT NULL CHECK (state IN ('coming', 'kept', 'leaving')),
    secret          bytea,            -- what it is encrypted with, sealed; null where it is not, or the store sees to that
    sha256          text,
    size            bigint CHECK (size >= 0),
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT contents_known CHECK (state <> 'kept' OR sha256 IS NOT NULL AND size IS NOT NULL)
);
INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, sha256, size, created_at)
SELECT DISTINCT ON (organization_id, sha256) file_id, organization_id, 'directory', 'kept', sha256, size, created_at
FROM uaol_storage.files ORDER BY organization_id, sha256, created_at, file_id;
INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, created_at)
SELECT file_id, organization_id, 'directory', 'leaving', created_at FROM uaol_storage.files f
WHERE NOT EXISTS (SELECT 1 FROM uaol_storage.contents c WHERE c.content_id = f.file_id);
CREATE UNIQUE INDEX contents_once ON uaol_storage.contents (organization_id, sha256) WHERE state = 'kept';
CREATE INDEX contents_unsettled ON uaol_storage.contents (created_at) WHERE state <> 'kept';

ALTER TABLE uaol_storage.files ADD COLUMN content_id uuid;
-- What an organisation has, for its plan's limit. Whoever adds or removes locks the row.
CREATE TABLE uaol_storage.usage (
    organization_id uuid PRIMARY KEY,
    bytes           bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- of contents, each once
    files           bigint NOT NULL DEFAULT 0 CHECK (files >= 0)
);
-- Files that somebody may upload by a URL, until then.
CREATE TABLE uaol_storage.tickets (
    file_id         uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    account_id      uuid NOT NULL,
    filename        text NOT NULL,
    content_type    text NOT NULL,
    size            bigint CHECK (size >= 0), -- exactly; null for any
    content_id      uuid,                     -- where a store of others takes it; null where we do
    expires_at      timestamptz NOT NULL
);
CREATE INDEX tickets_expiry ON uaol_storage.tickets (expires_at);
