DELETE FROM uaol_auth.links WHERE purpose = 'sign-in';
ALTER TABLE uaol_auth.links
    DROP CONSTRAINT links_purposes,
    ADD CONSTRAINT links_purpose_check CHECK (purpose IN ('verify', 'email', 'reset')) NOT VALID,
    DROP COLUMN session_id,
    DROP COLUMN key_id;
