DELETE FROM uaol_registry.health;
DELETE FROM uaol_registry.versions;
