-- Every owned row of the platform belongs to an organisation. Each account has
-- a personal one, which clients of the contract never see.
CREATE TABLE uaol_auth.organizations (
    organization_id uuid PRIMARY KEY,
    name            text NOT NULL,
    personal        boolean NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- A guest is an account without e-mail; registering turns its row into a user.
CREATE TABLE uaol_auth.accounts (
    account_id       uuid PRIMARY KEY,
    organization_id  uuid NOT NULL REFERENCES uaol_auth.organizations (organization_id),
    email            text, -- lower case
    password_hash    text, -- argon2id
    admin            boolean NOT NULL DEFAULT false,
    guest_id         text, -- what the guest's client calls its session
    guest_expires_at timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_are_somebody CHECK (email IS NOT NULL OR guest_id IS NOT NULL)
);
CREATE UNIQUE INDEX accounts_email ON uaol_auth.accounts (email);
CREATE UNIQUE INDEX accounts_guest ON uaol_auth.accounts (guest_id);

-- Only a key's hash is kept (SHA-256: keys are random, so no slow hash is
-- needed), and its first characters for people to tell keys apart.
CREATE TABLE uaol_auth.api_keys (
    key_id          uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES uaol_auth.accounts (account_id),
    organization_id uuid NOT NULL REFERENCES uaol_auth.organizations (organization_id),
    name            text NOT NULL,
    hash            bytea NOT NULL,
    prefix          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    revoked_at      timestamptz
);
CREATE UNIQUE INDEX api_keys_hash ON uaol_auth.api_keys (hash);
CREATE INDEX api_keys_account ON uaol_auth.api_keys (account_id);

-- Tokens that were logged out, until they would have expired anyway.
CREATE TABLE uaol_auth.revoked_tokens (
    token_id   uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX revoked_tokens_expires ON uaol_auth.revoked_tokens (expires_at);
