-- Who spends: an account, with a key or without (then zeros), in an organisation.
-- The journal names spenders only, so that a person can be forgotten without
-- changing what has been written down.
CREATE TABLE uaol_billing.spenders (
    spender_id      uuid PRIMARY KEY, -- commits to all the rest
    organization_id uuid NOT NULL,
    account_id      uuid,  -- null once it is forgotten
    key_id          uuid,  -- null as well
    salt            bytea  -- null as well, and where the id is random: see 0008
);
CREATE UNIQUE INDEX spenders_once ON uaol_billing.spenders (organization_id, account_id, key_id) WHERE salt IS NOT NULL;
CREATE INDEX spenders_organization ON uaol_billing.spenders (organization_id, spender_id);
CREATE INDEX spenders_account ON uaol_billing.spenders (account_id);

-- What happened to credits; only ever added to. An entry moves an amount from one
-- ledger account of its organisation to another, as its kind says: so all
-- accounts together stay at zero. An organisation's entries are numbered without
-- gaps, in the order in which they took effect.
CREATE TABLE uaol_billing.journal (
    organization_id uuid NOT NULL,
    seq             bigint NOT NULL CHECK (seq > 0),
    operation_id    text NOT NULL,
    kind            text NOT NULL,
    amount          bigint NOT NULL,
    balance         bigint NOT NULL, -- what is available afterwards
    hold_id         uuid,
    spender_id      uuid,
    tool_id         uuid,
    job_id          uuid,
    facts           text NOT NULL DEFAULT '', -- JSON: what was paid for, or why
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, seq),
    CONSTRAINT journal_once UNIQUE (organization_id, operation_id, kind),
    CONSTRAINT journal_kinds CHECK (kind IN ('grant', 'purchase', 'hold', 'settle', 'release', 'deduct', 'refund',
        'send', 'receive', 'expire', 'return', 'owe', 'repay')),
    CONSTRAINT journal_amounts CHECK (amount > 0 OR (kind = 'grant' AND amount = 0)),
    CONSTRAINT journal_balances CHECK (balance >= 0)
);
CREATE INDEX journal_recent ON uaol_billing.journal (created_at); -- for whoever seals
CREATE INDEX journal_jobs ON uaol_billing.journal (organization_id, job_id, seq) WHERE job_id IS NOT NULL;

-- The ledger accounts of an organisation. Those of the platform (grants,
-- purchases, transfers, revenue, expired) are kept in as many parts as there are
-- organisations, so that nobody waits for anybody else's row.
ALTER TABLE uaol_billing.accounts
    ADD COLUMN last_seq   bigint NOT NULL DEFAULT 0,
    ADD COLUMN grants     bigint NOT NULL DEFAULT 0,
    ADD COLUMN purchases  bigint NOT NULL DEFAULT 0,
    ADD COLUMN transfers  bigint NOT NULL DEFAULT 0,
    ADD COLUMN revenue    bigint NOT NULL DEFAULT 0,
    ADD COLUMN expired    bigint NOT NULL DEFAULT 0,
    ADD COLUMN debt       bigint NOT NULL DEFAULT 0,
    ADD COLUMN monthly    bigint NOT NULL DEFAULT 0, -- of available and held: ends with the period unless used
    ADD COLUMN stale      bigint NOT NULL DEFAULT 0, -- of held: its period is over; ends when it is not needed
    ADD COLUMN holder     text NOT NULL DEFAULT '',  -- guest, user or shared
    ADD COLUMN renews_at  timestamptz NOT NULL DEFAULT '9999-01-01',
    ADD COLUMN paid_from  timestamptz,               -- of the subscription that pays for the tier
    ADD COLUMN paid_until timestamptz,
    ADD COLUMN calls_left bigint;                    -- of this month's charged tool calls; null for as many as one likes

ALTER TABLE uaol_billing.holds
    ADD COLUMN spender_id uuid,
    ADD COLUMN job_id     uuid,
    ADD COLUMN calls      bigint NOT NULL DEFAULT 0; -- tool calls that it is for
