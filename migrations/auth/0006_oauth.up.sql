-- Programs that have registered themselves (RFC 7591). Those that are named by a URL
-- have their metadata there.
CREATE TABLE uaol_auth.oauth_clients (
    client_id     text PRIMARY KEY,
    name          text NOT NULL,
    redirect_uris text[] NOT NULL,
    refreshes     boolean NOT NULL, -- it asked for refresh tokens
    method        text NOT NULL CHECK (method IN ('none', 'client_secret_basic', 'client_secret_post')),
    secret_hash   bytea,            -- SHA-256; null: it has none
    created_at    timestamptz NOT NULL DEFAULT now(),
    used_at       timestamptz       -- when somebody last let it in; null: nobody did
);
CREATE INDEX oauth_clients_use ON uaol_auth.oauth_clients (used_at, created_at);

-- What people let programs do for them. Each is a session: it ends as sessions do, and
-- with it all tokens.
CREATE TABLE uaol_auth.oauth_grants (
    grant_id        uuid PRIMARY KEY REFERENCES uaol_auth.sessions (session_id) ON DELETE CASCADE,
    organization_id uuid NOT NULL REFERENCES uaol_auth.organizations (organization_id) ON DELETE CASCADE,
    client_id       text NOT NULL, -- of oauth_clients, or a URL
    client_name     text NOT NULL, -- as it was shown
    refreshes       boolean NOT NULL,
    resource        text NOT NULL, -- the URL that its tokens are for
    scopes          text NOT NULL, -- separated by spaces
    code_hash       bytea NOT NULL,
    code_expires_at timestamptz NOT NULL,
    code_used_at    timestamptz,   -- once: who comes with it again ends the grant
    redirect_uri    text NOT NULL, -- where the code was sent
    challenge       text NOT NULL, -- PKCE, S256
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX oauth_grants_code ON uaol_auth.oauth_grants (code_hash);
CREATE INDEX oauth_grants_organization ON uaol_auth.oauth_grants (organization_id);
CREATE INDEX oauth_grants_client ON uaol_auth.oauth_grants (client_id);

-- Only hashes (SHA-256: tokens are random). A refresh token that has been replaced stays
-- for a while, so that whoever comes with it again is noticed.
CREATE TABLE uaol_auth.oauth_tokens (
    hash        bytea PRIMARY KEY,
    grant_id    uuid NOT NULL REFERENCES uaol_auth.oauth_grants (grant_id) ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('access', 'refresh')),
    parent      bytea,       -- hash of the refresh token that it was given for; null: the code
    replaced_at timestamptz, -- a refresh token's, when it was first used
    expires_at  timestamptz NOT NULL
);
CREATE INDEX oauth_tokens_grant ON uaol_auth.oauth_tokens (grant_id);
CREATE INDEX oauth_tokens_expiry ON uaol_auth.oauth_tokens (expires_at);
