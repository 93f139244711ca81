ALTER TABLE uaol_auth.links VALIDATE CONSTRAINT links_purposes;
