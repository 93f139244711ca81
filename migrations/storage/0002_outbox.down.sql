DROP TABLE uaol_storage.outbox;
