-- What guests have made: a guest may make so much and no more, however many of
-- its requests come at once. The check is the guard.
CREATE TABLE uaol_jobs.guests (
    account_id uuid PRIMARY KEY,
    workflows  bigint NOT NULL,
    calls      bigint NOT NULL,
    CONSTRAINT guests_workflows CHECK (workflows <= 10),
    CONSTRAINT guests_calls CHECK (calls <= 100)
);
