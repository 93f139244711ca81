DROP TABLE uaol_jobs.steps;
DROP TABLE uaol_jobs.jobs;
