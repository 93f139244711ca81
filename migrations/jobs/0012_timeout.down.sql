ALTER TABLE uaol_jobs.jobs DROP COLUMN timeout_ms;
