ALTER TABLE uaol_jobs.workers DROP COLUMN process;
