DROP TABLE uaol_storage.passages;
DROP TABLE uaol_storage.documents;
