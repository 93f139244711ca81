DROP INDEX uaol_jobs.steps_asked;
