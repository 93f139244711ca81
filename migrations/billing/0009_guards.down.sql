CREATE TABLE uaol_billing.entries (
    organization_id uuid NOT NULL,
    operation_id    text NOT NULL,
    kind            text NOT NULL,
    available       bigint NOT NULL, -- by how much it changed
    held            bigint NOT NULL, -- by how much it changed
    account_id      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, operation_id, kind),
    CONSTRAINT entries_kinds CHECK (kind IN ('grant', 'hold', 'settle', 'release', 'transfer'))
);
ALTER TABLE uaol_billing.holds
    ADD COLUMN account_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    ADD COLUMN key_id     uuid,
    ADD CONSTRAINT holds_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES uaol_billing.accounts (organization_id);
ALTER TABLE uaol_billing.accounts
    DROP CONSTRAINT accounts_balanced,
    DROP CONSTRAINT accounts_revenue,
    DROP CONSTRAINT accounts_purchases,
    DROP CONSTRAINT accounts_debt,
    DROP CONSTRAINT accounts_calls,
    DROP CONSTRAINT accounts_monthly,
    ADD COLUMN granted text NOT NULL DEFAULT '';
