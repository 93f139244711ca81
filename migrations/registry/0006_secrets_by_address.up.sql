-- A secret is for one address: a version that waits for approval at another one
-- has its own. One that is forgotten counts no more, though another backend may
-- still have its value.
ALTER TABLE uaol_registry.secrets ADD COLUMN forgotten boolean NOT NULL DEFAULT false;
ALTER TABLE uaol_registry.secrets
    DROP CONSTRAINT secrets_pkey,
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (tool_id, scope, holder_id, name, origin);
