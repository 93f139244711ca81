DROP TABLE uaol_jobs.schedule_runs;
DROP TABLE uaol_jobs.schedules;
