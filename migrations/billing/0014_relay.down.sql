DROP TABLE uaol_billing.relays;
ALTER TABLE uaol_billing.outbox
    DROP COLUMN refused,
    DROP COLUMN published_at;
