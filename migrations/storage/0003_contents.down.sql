DROP TABLE uaol_storage.tickets;
DROP TABLE uaol_storage.usage;
ALTER TABLE uaol_storage.files DROP COLUMN content_id;
DROP TABLE uaol_storage.contents;
