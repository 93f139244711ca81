DROP TABLE uaol_storage.messages;
DROP TABLE uaol_storage.conversations;
