-- Loops that run once in the whole deployment, and which process has each just
-- now. The fence rises whenever another takes it.
CREATE TABLE uaol_billing.leases (
    name       text PRIMARY KEY,
    holder     uuid NOT NULL,
    fence      bigint NOT NULL CHECK (fence > 0),
    expires_at timestamptz NOT NULL
);
