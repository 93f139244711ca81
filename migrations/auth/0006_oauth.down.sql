DROP TABLE uaol_auth.oauth_tokens;
DROP TABLE uaol_auth.oauth_grants;
DROP TABLE uaol_auth.oauth_clients;
