DROP TABLE uaol_auth.relays;
ALTER TABLE uaol_auth.outbox
    DROP COLUMN refused,
    DROP COLUMN published_at;
