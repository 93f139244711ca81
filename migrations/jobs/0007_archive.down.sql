-- What was archived is lost.
DROP TABLE uaol_jobs.archive;
