DROP TABLE uaol_jobs.outbox;
