ALTER TABLE uaol_storage.conversations DROP COLUMN lease_until;
ALTER TABLE uaol_storage.conversations DROP COLUMN claim;
