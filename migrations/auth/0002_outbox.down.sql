DROP TABLE uaol_auth.outbox;
