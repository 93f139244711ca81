DROP TABLE uaol_storage.files;
