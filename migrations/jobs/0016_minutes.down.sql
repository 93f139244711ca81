DROP TABLE uaol_jobs.job_minutes;
