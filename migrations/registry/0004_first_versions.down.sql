DELETE FROM uaol_registry.versions;
