DROP TABLE uaol_jobs.guests;
