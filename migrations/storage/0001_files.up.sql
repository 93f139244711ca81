CREATE TABLE uaol_storage.files (
    file_id         uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    account_id      uuid NOT NULL,
    filename        text NOT NULL, -- data, never a path
    content_type    text NOT NULL,
    size            bigint NOT NULL CHECK (size >= 0),
    sha256          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX files_owner ON uaol_storage.files (organization_id, created_at DESC, file_id DESC);
