-- Calls that came with an Idempotency-Key, for as long as their repetition is
-- answered with what they were answered.
CREATE TABLE uaol_proxy.keyed_calls (
    organization_id uuid NOT NULL, -- that called
    account_id      uuid NOT NULL,
    key             text NOT NULL,
    digest          text NOT NULL, -- of tool, method and arguments, keyed: the key belongs to this request alone
    call_id         uuid NOT NULL,
    state           text NOT NULL CHECK (state IN ('underway', 'answered', 'unknown')),
    result          text, -- as the tool wrote it; NULL also of one that was too large to be kept
    failed          boolean NOT NULL DEFAULT false, -- the tool said isError
    lease_until     timestamptz NOT NULL, -- whoever makes the call says by then that it goes on
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, organization_id, key)
);
CREATE INDEX keyed_calls_age ON uaol_proxy.keyed_calls (created_at);
CREATE INDEX keyed_calls_organization ON uaol_proxy.keyed_calls (organization_id);
