-- What others may want to know of: written in the transaction of the change
-- itself, read by cursor on (created_at, event_id).
CREATE TABLE uaol_storage.outbox (
    event_id        uuid PRIMARY KEY,
    type            text NOT NULL,
    subject         text NOT NULL,
    organization_id uuid NOT NULL,
    data            jsonb NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_order ON uaol_storage.outbox (created_at, event_id);
