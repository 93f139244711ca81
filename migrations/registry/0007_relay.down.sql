DROP TABLE uaol_registry.relays;
ALTER TABLE uaol_registry.outbox
    DROP COLUMN refused,
    DROP COLUMN published_at;
