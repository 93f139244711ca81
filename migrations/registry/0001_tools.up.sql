CREATE TABLE uaol_registry.tools (
    tool_id              uuid PRIMARY KEY,
    organization_id      uuid NOT NULL,
    developer_id         uuid NOT NULL, -- the account that registered it
    slug                 text NOT NULL,
    name                 text NOT NULL,
    gateway_url          text NOT NULL,
    protocol             text NOT NULL,
    credit_cost_per_call bigint NOT NULL CHECK (credit_cost_per_call >= 0),
    status               text NOT NULL CHECK (status IN ('Pending', 'Approved', 'Disabled')),
    version              bigint NOT NULL DEFAULT 1, -- grows with every change of what is called
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX tools_slug ON uaol_registry.tools (slug);
CREATE INDEX tools_listing ON uaol_registry.tools (status, name, tool_id);
CREATE INDEX tools_owner ON uaol_registry.tools (organization_id, created_at DESC);
