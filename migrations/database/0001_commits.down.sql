DROP TABLE uaol_database.commits;
