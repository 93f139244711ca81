-- What an MCP client of the older protocols has changed of its session; the session
-- itself is in its id.
CREATE TABLE uaol_proxy.sessions (
    session_id uuid PRIMARY KEY,
    ended      boolean NOT NULL,
    level      text NOT NULL, -- of the log messages that it wants
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_expiry ON uaol_proxy.sessions (expires_at);

-- Between processes: answers to what tools ask in the middle of a call, and what came of
-- the call.
CREATE TABLE uaol_proxy.letters (
    address    text PRIMARY KEY,
    body       bytea NOT NULL, -- sealed
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX letters_age ON uaol_proxy.letters (created_at);

-- Calls whose tool waits for an answer of the client's.
CREATE TABLE uaol_proxy.parked (
    call_id     uuid PRIMARY KEY,
    lease_until timestamptz NOT NULL -- the process that makes the call says by then that it goes on
);
CREATE INDEX parked_lease ON uaol_proxy.parked (lease_until);
