ALTER TABLE uaol_jobs.jobs RESET (fillfactor);
