-- Credits belong to organisations. The guard against overdrafts is the check
-- of the columns together with one statement that both tests and moves.
CREATE TABLE uaol_billing.accounts (
    organization_id uuid PRIMARY KEY,
    tier            text NOT NULL,
    available       bigint NOT NULL CHECK (available >= 0),
    held            bigint NOT NULL CHECK (held >= 0),
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- Credits set aside for work under way. settled grows as the work is paid.
CREATE TABLE uaol_billing.holds (
    hold_id         uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES uaol_billing.accounts (organization_id),
    account_id      uuid NOT NULL, -- who asked for it
    owner           text NOT NULL CHECK (owner IN ('job', 'call')),
    amount          bigint NOT NULL CHECK (amount > 0),
    settled         bigint NOT NULL DEFAULT 0 CHECK (settled >= 0 AND settled <= amount),
    state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX holds_expiry ON uaol_billing.holds (expires_at) WHERE state = 'open';

-- What happened to credits, never changed afterwards. An operation counts once
-- per kind: repeating it finds its entry.
CREATE TABLE uaol_billing.entries (
    organization_id uuid NOT NULL,
    operation_id    text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('grant', 'hold', 'settle', 'release')),
    available       bigint NOT NULL, -- by how much it changed
    held            bigint NOT NULL, -- by how much it changed
    account_id      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, operation_id, kind)
);
