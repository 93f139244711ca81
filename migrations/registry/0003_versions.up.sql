-- What a tool is to callers is a version: address, protocol, prices, methods. The
-- head in tools repeats what listings show of the version in force or, when there
-- is none, of the newest one.
ALTER TABLE uaol_registry.tools
    ADD COLUMN description       text NOT NULL DEFAULT '',
    ADD COLUMN tags              text[] NOT NULL DEFAULT '{}',
    ADD COLUMN documentation_url text NOT NULL DEFAULT '',
    ADD COLUMN visibility        text NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'organization', 'private')),
    ADD COLUMN approved_version  bigint, -- the one in force; null when none is
    ADD COLUMN pending_version   bigint, -- the one that waits for a decision; null when none does
    ADD COLUMN latest_version    bigint NOT NULL DEFAULT 1,
    ADD COLUMN revision          bigint NOT NULL DEFAULT 1, -- grows with every change by its owner: of two at once one fails
    ADD COLUMN method_costs      jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN source            text NOT NULL DEFAULT '', -- where it was imported from
    ADD COLUMN source_name       text NOT NULL DEFAULT '', -- and what it is called there
    ADD COLUMN imported          text NOT NULL DEFAULT '', -- digest of what it was there when it was last imported
    ADD COLUMN search            tsvector NOT NULL DEFAULT ''; -- words of name, slug and description; tags as #tag
ALTER TABLE uaol_registry.tools DROP CONSTRAINT tools_status_check;
ALTER TABLE uaol_registry.tools ADD CONSTRAINT tools_statuses CHECK (status IN ('Pending', 'Approved', 'Rejected', 'Disabled'));
CREATE INDEX tools_search ON uaol_registry.tools USING GIN (search);
CREATE INDEX tools_developer ON uaol_registry.tools (developer_id, created_at DESC);
CREATE UNIQUE INDEX tools_source ON uaol_registry.tools (source, source_name) WHERE source <> '';

CREATE TABLE uaol_registry.versions (
    tool_id    uuid NOT NULL REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    version    bigint NOT NULL,
    status     text NOT NULL CHECK (status IN ('Pending', 'Approved', 'Rejected', 'Superseded')),
    definition jsonb NOT NULL, -- registry.Definition
    pinned     boolean NOT NULL DEFAULT false, -- its methods were read and may not change
    digest     text NOT NULL DEFAULT '', -- over all of its methods' digests
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_by uuid,
    decided_at timestamptz,
    reason     text NOT NULL DEFAULT '',
    PRIMARY KEY (tool_id, version)
);
CREATE INDEX versions_review ON uaol_registry.versions (created_at, tool_id) WHERE status = 'Pending';
CREATE INDEX versions_maker ON uaol_registry.versions (created_by);
CREATE INDEX versions_decider ON uaol_registry.versions (decided_by);

-- The methods of a version as the server listed them when it was approved.
CREATE TABLE uaol_registry.methods (
    tool_id    uuid NOT NULL,
    version    bigint NOT NULL,
    name       text NOT NULL,
    position   int NOT NULL, -- in the server's list
    digest     text NOT NULL, -- SHA-256 over its canonical JSON (RFC 8785)
    definition text NOT NULL, -- upstream.Method as JSON
    flags      jsonb NOT NULL DEFAULT '[]', -- what in its texts is hidden from readers
    PRIMARY KEY (tool_id, version, name),
    FOREIGN KEY (tool_id, version) REFERENCES uaol_registry.versions (tool_id, version) ON DELETE CASCADE
);

-- How the live server differs from what is pinned: quarantined until an admin decides.
CREATE TABLE uaol_registry.differences (
    tool_id    uuid NOT NULL REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    name       text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('changed', 'added', 'removed')),
    digest     text NOT NULL DEFAULT '',
    definition text NOT NULL DEFAULT '', -- as the server lists it now
    seen_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tool_id, name)
);

-- Who decided what about a tool; never changed.
CREATE TABLE uaol_registry.decisions (
    decision_id uuid PRIMARY KEY,
    tool_id     uuid NOT NULL REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    version     bigint NOT NULL,
    act         text NOT NULL CHECK (act IN ('submitted', 'approved', 'rejected', 'disabled', 'deleted', 'quarantined', 'restored')),
    account_id  uuid, -- null: the platform itself
    reason      text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decisions_tool ON uaol_registry.decisions (tool_id, created_at DESC, decision_id);
CREATE INDEX decisions_account ON uaol_registry.decisions (account_id);

-- What the last look at a tool's server found; a row for each approved tool.
CREATE TABLE uaol_registry.health (
    tool_id     uuid PRIMARY KEY REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    healthy     boolean, -- null: nobody could look yet
    latency_ms  bigint NOT NULL DEFAULT 0,
    error       text NOT NULL DEFAULT '',
    failures    int NOT NULL DEFAULT 0, -- in a row
    checked_at  timestamptz, -- the last look
    compared_at timestamptz, -- the last one that gave a list to compare with what is pinned
    since       timestamptz, -- healthy, or not, since then
    due_at      timestamptz NOT NULL DEFAULT now() -- for the next look
);
CREATE INDEX health_due ON uaol_registry.health (due_at);
