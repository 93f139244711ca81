-- A row for each transaction of the last hour that was committed, so that whoever
-- lost the answer to a COMMIT can ask what became of it. Ids are UUIDs of version
-- 7, which begin with the time: the old ones go by the primary key.
CREATE TABLE uaol_database.commits (
    commit_id uuid PRIMARY KEY
);
