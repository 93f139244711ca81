-- Every call of a tool. Of its arguments only what they look like is kept.
CREATE TABLE uaol_proxy.calls (
    call_id         uuid PRIMARY KEY, -- of a charged call also its hold's
    organization_id uuid NOT NULL, -- that called
    account_id      uuid NOT NULL,
    key_id          uuid,
    tool_id         uuid NOT NULL,
    version         bigint NOT NULL,
    method          text NOT NULL,
    digest          text NOT NULL, -- of the arguments, keyed: equal arguments can be told, not guessed
    shape           text NOT NULL, -- of the arguments: names and types
    outcome         text NOT NULL CHECK (outcome IN ('success', 'failed', 'refused', 'unknown')),
    code            text NOT NULL DEFAULT '', -- of the error
    latency_us      bigint NOT NULL,
    bytes_out       bigint NOT NULL,
    bytes_in        bigint NOT NULL,
    credits         bigint NOT NULL,
    job_id          uuid,
    step            text NOT NULL DEFAULT '',
    trace_id        text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL
);
CREATE INDEX calls_organization ON uaol_proxy.calls (organization_id, created_at DESC, call_id DESC);
CREATE INDEX calls_age ON uaol_proxy.calls (created_at);
