-- Resources of whose changes MCP clients of the older protocols want to hear; those of the
-- stateless one say so with each stream.
CREATE TABLE uaol_proxy.subscriptions (
    session_id uuid NOT NULL,
    uri        text NOT NULL,
    expires_at timestamptz NOT NULL, -- with the session
    PRIMARY KEY (session_id, uri)
);
CREATE INDEX subscriptions_expiry ON uaol_proxy.subscriptions (expires_at);
