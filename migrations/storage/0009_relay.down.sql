DROP TABLE uaol_storage.relays;
ALTER TABLE uaol_storage.outbox
    DROP COLUMN refused,
    DROP COLUMN published_at;
