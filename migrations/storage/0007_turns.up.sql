-- One turn of a conversation is answered at a time, by whoever has claimed it.
ALTER TABLE uaol_storage.conversations ADD COLUMN claim uuid;
ALTER TABLE uaol_storage.conversations ADD COLUMN lease_until timestamptz;
