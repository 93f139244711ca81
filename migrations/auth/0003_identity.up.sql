-- An account is a user, a guest, or a service account: a program of a shared
-- organisation, which has keys and neither e-mail nor password.
ALTER TABLE uaol_auth.accounts
    ADD COLUMN kind              text NOT NULL DEFAULT 'user',
    ADD COLUMN name              text,        -- what it calls itself
    ADD COLUMN email_verified_at timestamptz; -- when somebody proved that the e-mail is theirs
UPDATE uaol_auth.accounts SET kind = 'guest' WHERE email IS NULL;
ALTER TABLE uaol_auth.accounts
    DROP CONSTRAINT accounts_are_somebody,
    ADD CONSTRAINT accounts_are_somebody CHECK (
        (kind = 'user' AND email IS NOT NULL) OR (kind = 'guest' AND guest_id IS NOT NULL) OR (kind = 'service' AND name IS NOT NULL));
CREATE INDEX accounts_guests ON uaol_auth.accounts (guest_expires_at) WHERE guest_expires_at IS NOT NULL;
CREATE INDEX accounts_organization ON uaol_auth.accounts (organization_id);

-- Who is in a shared organisation. A personal one has no rows: its account owns it.
CREATE TABLE uaol_auth.members (
    organization_id uuid NOT NULL REFERENCES uaol_auth.organizations (organization_id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES uaol_auth.accounts (account_id) ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, account_id)
);
CREATE INDEX members_account ON uaol_auth.members (account_id);

-- Whoever holds an invitation's secret may register, and joins the organisation
-- if there is one.
CREATE TABLE uaol_auth.invitations (
    invitation_id   uuid PRIMARY KEY,
    organization_id uuid REFERENCES uaol_auth.organizations (organization_id) ON DELETE CASCADE, -- null: to the platform alone
    email           text NOT NULL, -- lower case; nobody else may use it
    role            text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    hash            bytea NOT NULL, -- SHA-256 of the secret
    invited_by      uuid NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX invitations_hash ON uaol_auth.invitations (hash);
CREATE INDEX invitations_organization ON uaol_auth.invitations (organization_id, created_at);
CREATE INDEX invitations_expiry ON uaol_auth.invitations (expires_at);

ALTER TABLE uaol_auth.api_keys
    ADD COLUMN scopes       text NOT NULL DEFAULT '', -- separated by spaces; '' means all
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN last_used_at timestamptz; -- to the minute
CREATE INDEX api_keys_organization ON uaol_auth.api_keys (organization_id);

-- Sign-ins, by the id of their token: a token without its row counts no more.
CREATE TABLE uaol_auth.sessions (
    session_id   uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES uaol_auth.accounts (account_id) ON DELETE CASCADE,
    key_id       uuid REFERENCES uaol_auth.api_keys (key_id) ON DELETE CASCADE, -- it was got with this key, and ends with it
    method       text NOT NULL, -- 'password', 'key', 'register' or a provider's name
    address      text NOT NULL,
    user_agent   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(), -- to the minute
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_account ON uaol_auth.sessions (account_id);
CREATE INDEX sessions_key ON uaol_auth.sessions (key_id);
CREATE INDEX sessions_expiry ON uaol_auth.sessions (expires_at);
DROP TABLE uaol_auth.revoked_tokens;

-- Who an OpenID provider says an account is. Its tokens are sealed.
CREATE TABLE uaol_auth.identities (
    identity_id      uuid PRIMARY KEY,
    account_id       uuid NOT NULL REFERENCES uaol_auth.accounts (account_id) ON DELETE CASCADE,
    provider         text NOT NULL,
    issuer           text NOT NULL,
    subject          text NOT NULL,
    email            text,
    tokens           bytea,
    tokens_expire_at timestamptz, -- the access token
    created_at       timestamptz NOT NULL DEFAULT now(),
    last_used_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX identities_subject ON uaol_auth.identities (issuer, subject);
CREATE INDEX identities_account ON uaol_auth.identities (account_id);

-- Sign-ins at a provider that are under way. Each is used once: its row goes.
CREATE TABLE uaol_auth.sign_ins (
    state_hash   bytea PRIMARY KEY,
    browser_hash bytea NOT NULL, -- of the cookie in the browser that began it
    provider     text NOT NULL,
    nonce        text NOT NULL,
    verifier     text NOT NULL, -- PKCE
    return_to    text NOT NULL, -- one of the configured origins
    invitation   text NOT NULL, -- hash in hex, or ''
    guest_id     text NOT NULL, -- the guest that shall become the user, or ''
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sign_ins_expiry ON uaol_auth.sign_ins (expires_at);

-- What a provider's groups gave to accounts: only that is taken back.
CREATE TABLE uaol_auth.group_roles (
    account_id      uuid NOT NULL REFERENCES uaol_auth.accounts (account_id) ON DELETE CASCADE,
    organization_id uuid NOT NULL, -- zero: the platform, whose admin the account became
    role            text NOT NULL,
    replaced        text,          -- the role it had in the organisation before; null for none
    PRIMARY KEY (account_id, organization_id)
);

-- Keys of model providers, sealed for their organisation and provider.
CREATE TABLE uaol_auth.provider_keys (
    organization_id uuid NOT NULL REFERENCES uaol_auth.organizations (organization_id) ON DELETE CASCADE,
    provider        text NOT NULL,
    sealed          bytea NOT NULL,
    masked          text NOT NULL,
    is_default      boolean NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, provider)
);
CREATE UNIQUE INDEX provider_keys_default ON uaol_auth.provider_keys (organization_id) WHERE is_default;

-- Links sent by e-mail: to prove an address, to change it, to reset a password.
CREATE TABLE uaol_auth.links (
    hash       bytea PRIMARY KEY, -- SHA-256 of the secret in the link
    account_id uuid NOT NULL REFERENCES uaol_auth.accounts (account_id) ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('verify', 'email', 'reset')),
    email      text NOT NULL, -- the address it was sent to
    expires_at timestamptz NOT NULL
);
CREATE INDEX links_account ON uaol_auth.links (account_id);
CREATE INDEX links_expiry ON uaol_auth.links (expires_at);

-- What is counted to slow attackers down: failed sign-ins by account and by
-- address, new accounts by address. Buckets are hashes.
CREATE TABLE uaol_auth.attempts (
    bucket  bytea PRIMARY KEY,
    count   bigint NOT NULL,
    ends_at timestamptz NOT NULL
);
CREATE INDEX attempts_end ON uaol_auth.attempts (ends_at);

-- Who did what, from where, when. No secret and no e-mail stands here.
CREATE TABLE uaol_auth.audit (
    act_id          uuid PRIMARY KEY,
    created_at      timestamptz NOT NULL,
    action          text NOT NULL,
    account_id      uuid NOT NULL, -- zero: nobody known
    organization_id uuid NOT NULL,
    key_id          uuid NOT NULL,
    address         text NOT NULL,
    user_agent      text NOT NULL,
    request_id      text NOT NULL,
    outcome         text NOT NULL CHECK (outcome IN ('attempted', 'done', 'refused')),
    details         jsonb NOT NULL
);
CREATE INDEX audit_order ON uaol_auth.audit (created_at, act_id);
CREATE INDEX audit_account ON uaol_auth.audit (account_id, created_at);
CREATE INDEX audit_organization ON uaol_auth.audit (organization_id, created_at);

-- Whose things the services still have to erase.
CREATE TABLE uaol_auth.erasures (
    account_id    uuid PRIMARY KEY,
    guest         boolean NOT NULL, -- it was in no organisation but its own
    organizations uuid[] NOT NULL, -- that end with it
    services      text[] NOT NULL, -- that have not done it yet
    requested_at  timestamptz NOT NULL DEFAULT now(),
    next_at       timestamptz NOT NULL DEFAULT now(),
    attempts      bigint NOT NULL DEFAULT 0,
    final         boolean NOT NULL DEFAULT false -- the second round, for what requests left that were under way at the first
);
CREATE INDEX erasures_next ON uaol_auth.erasures (next_at);
