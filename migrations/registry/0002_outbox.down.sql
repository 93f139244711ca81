DROP TABLE uaol_registry.outbox;
