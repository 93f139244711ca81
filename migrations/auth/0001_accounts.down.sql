DROP TABLE uaol_auth.revoked_tokens;
DROP TABLE uaol_auth.api_keys;
DROP TABLE uaol_auth.accounts;
DROP TABLE uaol_auth.organizations;
