DROP TABLE uaol_registry.imports;
DROP TABLE uaol_registry.authorizations;
DROP TABLE uaol_registry.grants;
DROP TABLE uaol_registry.secrets;
