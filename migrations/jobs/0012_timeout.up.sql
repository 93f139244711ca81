-- How long a job may take is kept beside until when: who takes it up again gives it as
-- long anew.
ALTER TABLE uaol_jobs.jobs ADD COLUMN timeout_ms bigint; -- milliseconds; null where nothing was said
