-- Which process a worker is, as its machine and the process's number there: for
-- whoever asks where a job is being worked on.
ALTER TABLE uaol_jobs.workers ADD COLUMN process text NOT NULL DEFAULT '';
