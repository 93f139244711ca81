-- What calls to a tool carry, sealed. Whose it is: the tool's own (holder is the
-- tool), an organisation's or an account's; the nearest one counts.
CREATE TABLE uaol_registry.secrets (
    tool_id    uuid NOT NULL REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    scope      text NOT NULL CHECK (scope IN ('tool', 'organization', 'user')),
    holder_id  uuid NOT NULL,
    name       text NOT NULL,
    origin     text NOT NULL, -- of the tool's address when it was given: it goes nowhere else
    sealed     bytea NOT NULL, -- empty when another backend keeps it
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tool_id, scope, holder_id, name)
);
CREATE INDEX secrets_holder ON uaol_registry.secrets (holder_id);

-- Tokens that a tool's authorization server gave for a holder as above. One that
-- is being got for the first time has none yet.
CREATE TABLE uaol_registry.grants (
    tool_id      uuid NOT NULL REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    scope        text NOT NULL CHECK (scope IN ('tool', 'organization', 'user')),
    holder_id    uuid NOT NULL,
    bound        text NOT NULL, -- to what of the tool's definition it was given
    sealed       bytea NOT NULL, -- access and refresh token
    fence        bigint NOT NULL DEFAULT 1, -- grows with every refresh
    failed_fence bigint NOT NULL DEFAULT 0, -- of the last refresh that came to nothing
    scopes       text NOT NULL DEFAULT '', -- as granted
    expires_at   timestamptz, -- of the access token; null when it does not say
    renew_at     timestamptz, -- some time before that
    leased_until timestamptz, -- somebody is refreshing it
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tool_id, scope, holder_id)
);
CREATE INDEX grants_holder ON uaol_registry.grants (holder_id);

-- Consents under way at a tool's authorization server.
CREATE TABLE uaol_registry.authorizations (
    hash       text PRIMARY KEY, -- of the state
    tool_id    uuid NOT NULL REFERENCES uaol_registry.tools (tool_id) ON DELETE CASCADE,
    account_id uuid NOT NULL, -- who asked for it
    holder_id  uuid NOT NULL, -- who will have the grant
    sealed     bytea NOT NULL, -- the PKCE verifier, and for whom and what it is
    expires_at timestamptz NOT NULL
);
CREATE INDEX authorizations_expire ON uaol_registry.authorizations (expires_at);
CREATE INDEX authorizations_account ON uaol_registry.authorizations (account_id);

-- How far an import from another registry has come.
CREATE TABLE uaol_registry.imports (
    source        text PRIMARY KEY,
    updated_since timestamptz,
    ran_at        timestamptz NOT NULL
);
