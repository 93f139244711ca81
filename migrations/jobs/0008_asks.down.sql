ALTER TABLE uaol_jobs.steps DROP COLUMN asks;
