DROP TABLE uaol_registry.tools;
