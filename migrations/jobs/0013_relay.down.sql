DROP TABLE uaol_jobs.relays;
ALTER TABLE uaol_jobs.outbox
    DROP COLUMN refused,
    DROP COLUMN published_at;
