DELETE FROM uaol_storage.usage;
DROP INDEX uaol_storage.files_content;
ALTER TABLE uaol_storage.files ALTER COLUMN content_id DROP NOT NULL;
UPDATE uaol_storage.files SET content_id = NULL;
