-- Links by which whoever has one signs in. Each is good for as long as what made it is:
-- an API key, a sign-in, or neither, when a command of the operator's did.
ALTER TABLE uaol_auth.links
    ADD COLUMN key_id     uuid, -- it was made with, or the sign-in was
    ADD COLUMN session_id uuid, -- the sign-in it was made in
    DROP CONSTRAINT links_purpose_check,
    ADD CONSTRAINT links_purposes CHECK (purpose IN ('verify', 'email', 'reset', 'sign-in')) NOT VALID;
