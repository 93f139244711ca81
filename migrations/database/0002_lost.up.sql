-- Who asks what became of a COMMIT writes its row too, so that it can't come to pass any
-- more: lost tells such a row from the COMMIT's own, also when the answer to that is lost.
ALTER TABLE uaol_database.commits ADD COLUMN lost boolean NOT NULL DEFAULT false;
