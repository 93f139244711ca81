-- Steps that somebody has to decide about are found among all others by whom they
-- ask. What is written here by a process that does not know of it yet asks nobody.
ALTER TABLE uaol_jobs.steps ADD COLUMN asks uuid; -- the organisation whose people decide; null where nobody is asked
