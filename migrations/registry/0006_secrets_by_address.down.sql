DELETE FROM uaol_registry.secrets WHERE forgotten;
DELETE FROM uaol_registry.secrets s USING uaol_registry.secrets newer
WHERE s.tool_id = newer.tool_id AND s.scope = newer.scope AND s.holder_id = newer.holder_id AND s.name = newer.name
    AND (s.updated_at, s.origin) < (newer.updated_at, newer.origin);
ALTER TABLE uaol_registry.secrets
    DROP CONSTRAINT secrets_pkey,
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (tool_id, scope, holder_id, name);
ALTER TABLE uaol_registry.secrets DROP COLUMN forgotten;
