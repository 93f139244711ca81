-- Chosen sets of tools, each behind an address of its own.
CREATE TABLE uaol_proxy.profiles (
    profile_id      uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    account_id      uuid NOT NULL, -- that made it
    name            text NOT NULL,
    description     text NOT NULL,
    definition      text NOT NULL, -- JSON
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT profiles_name UNIQUE (organization_id, name)
);
CREATE INDEX profiles_newest ON uaol_proxy.profiles (organization_id, created_at DESC, profile_id DESC);
