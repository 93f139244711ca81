ALTER TABLE uaol_database.commits DROP COLUMN lost;
