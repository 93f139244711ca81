-- What a broker has got, and what it refuses for good, with its reason. One process
-- publishes: who has the lease in relays.
ALTER TABLE uaol_registry.outbox
    ADD COLUMN published_at timestamptz,
    ADD COLUMN refused      text;
CREATE TABLE uaol_registry.relays (
    name       text PRIMARY KEY,
    holder     uuid NOT NULL,
    fence      bigint NOT NULL CHECK (fence > 0),
    expires_at timestamptz NOT NULL
);
