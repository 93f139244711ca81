DROP TABLE uaol_storage.backups;
