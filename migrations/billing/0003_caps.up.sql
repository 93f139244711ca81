-- What an organisation, a member of it or a key may spend in a day or a month
-- of UTC. The check is the guard: a hold that would spend more undoes itself.
CREATE TABLE uaol_billing.caps (
    organization_id uuid NOT NULL REFERENCES uaol_billing.accounts (organization_id) ON DELETE CASCADE,
    scope           text NOT NULL CHECK (scope IN ('organization', 'member', 'key')),
    subject_id      uuid NOT NULL, -- the organisation, the account or the key
    period          text NOT NULL CHECK (period IN ('day', 'month')),
    period_start    date NOT NULL, -- of the period that spent speaks of
    amount          bigint NOT NULL CHECK (amount >= 0),
    ceiling         bigint NOT NULL, -- the amount, or what was spent already when it was lowered below that
    spent           bigint NOT NULL CHECK (spent >= 0), -- open holds, and what was settled of closed ones
    PRIMARY KEY (organization_id, subject_id, scope, period),
    CONSTRAINT caps_hold CHECK (spent <= ceiling)
);

-- caps_set is raised whenever one of the account's caps is set. A statement that
-- began before that can't see the new cap, and must not move credits past it.
ALTER TABLE uaol_billing.accounts
    ADD COLUMN caps_set bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT accounts_caps_seen CHECK (caps_set >= 0);

ALTER TABLE uaol_billing.holds ADD COLUMN key_id uuid; -- the key that asked for it, if one did
CREATE INDEX holds_organization ON uaol_billing.holds (organization_id, created_at); -- what a new cap counts

-- A transfer has one entry on each side, under one operation.
ALTER TABLE uaol_billing.entries
    DROP CONSTRAINT entries_kind_check,
    ADD CONSTRAINT entries_kinds CHECK (kind IN ('grant', 'hold', 'settle', 'release', 'transfer'));
