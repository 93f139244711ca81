-- A job's end is written into its row: with room for it on the same page no index
-- is touched, and the log holds only what is new.
ALTER TABLE uaol_jobs.jobs SET (fillfactor = 50);
