-- What files say. A document is a content that was read, or is to be: it goes with it.
CREATE TABLE uaol_storage.documents (
    content_id      uuid PRIMARY KEY REFERENCES uaol_storage.contents ON DELETE CASCADE,
    organization_id uuid NOT NULL,
    filename        text NOT NULL,  -- of the file that it was read for; among texts it says which kind
    status          text NOT NULL CHECK (status IN ('waiting', 'reading', 'read', 'failed')),
    attempts        integer NOT NULL DEFAULT 0, -- of readers that died
    claim           uuid,           -- whose reading it is; another's result is not taken
    lease_until     timestamptz,    -- of who reads it, or makes its vectors
    pages_done      integer NOT NULL DEFAULT 0,
    pages_total     integer NOT NULL DEFAULT 0,
    kind            text NOT NULL DEFAULT '',
    pages           integer NOT NULL DEFAULT 0,
    rows            integer NOT NULL DEFAULT 0,
    columns         integer NOT NULL DEFAULT 0,
    content         text NOT NULL DEFAULT '',   -- all that it says
    passages        integer NOT NULL DEFAULT 0,
    terms           bigint NOT NULL DEFAULT 0,  -- of all passages together
    warnings        text[] NOT NULL DEFAULT '{}',
    code            text NOT NULL DEFAULT '',   -- of the error that it failed with
    error           text NOT NULL DEFAULT '',
    model           text NOT NULL DEFAULT '',   -- that all passages' vectors are of; '' for none
    making          text NOT NULL DEFAULT '',   -- the model that vectors are being made of
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX documents_open ON uaol_storage.documents (created_at) WHERE status IN ('waiting', 'reading');
CREATE INDEX documents_organization ON uaol_storage.documents (organization_id);
CREATE INDEX documents_models ON uaol_storage.documents (model) WHERE status = 'read';
CREATE TABLE uaol_storage.passages (
    content_id      uuid NOT NULL REFERENCES uaol_storage.documents ON DELETE CASCADE,
    ordinal         integer NOT NULL,
    organization_id uuid NOT NULL,
    page            integer NOT NULL DEFAULT 0,
    sheet           text NOT NULL DEFAULT '',
    heading         text[] NOT NULL DEFAULT '{}', -- those above it
    content         text NOT NULL,
    terms           text[] NOT NULL, -- of the content, in their order
    above           text[] NOT NULL, -- of headings and of the file's name
    found_by        text[] NOT NULL, -- all of them, each once
    vector          real[],          -- of the document's model; the type needs no extension
    PRIMARY KEY (content_id, ordinal)
);
CREATE INDEX passages_organization ON uaol_storage.passages (organization_id);
CREATE INDEX passages_found_by ON uaol_storage.passages USING gin (found_by);
-- Files that are there already are read too, if they look like documents.
INSERT INTO uaol_storage.documents (content_id, organization_id, filename, status)
SELECT DISTINCT ON (c.content_id) c.content_id, c.organization_id, f.filename, 'waiting'
FROM uaol_storage.contents c JOIN uaol_storage.files f ON f.content_id = c.content_id
WHERE c.state = 'kept' AND c.size <= 104857600 AND (f.content_type LIKE 'text/%' OR f.content_type LIKE '%pdf%' OR f.content_type LIKE '%document%'
    OR f.content_type LIKE '%json%' OR f.content_type LIKE '%xml%' OR f.content_type LIKE 'image/%')
ORDER BY c.content_id, f.created_at, f.file_id;
