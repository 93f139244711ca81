CREATE TABLE uaol_auth.revoked_tokens (
    token_id   uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX revoked_tokens_expires ON uaol_auth.revoked_tokens (expires_at);
DROP TABLE uaol_auth.erasures;
DROP TABLE uaol_auth.audit;
DROP TABLE uaol_auth.attempts;
DROP TABLE uaol_auth.links;
DROP TABLE uaol_auth.provider_keys;
DROP TABLE uaol_auth.group_roles;
DROP TABLE uaol_auth.sign_ins;
DROP TABLE uaol_auth.identities;
DROP TABLE uaol_auth.sessions;
DROP INDEX uaol_auth.api_keys_organization;
ALTER TABLE uaol_auth.api_keys DROP COLUMN scopes, DROP COLUMN expires_at, DROP COLUMN last_used_at;
DROP TABLE uaol_auth.invitations;
DROP TABLE uaol_auth.members;
DROP INDEX uaol_auth.accounts_guests;
DROP INDEX uaol_auth.accounts_organization;
DELETE FROM uaol_auth.api_keys WHERE account_id IN (SELECT account_id FROM uaol_auth.accounts WHERE kind = 'service');
DELETE FROM uaol_auth.accounts WHERE kind = 'service';
ALTER TABLE uaol_auth.accounts DROP CONSTRAINT accounts_are_somebody;
ALTER TABLE uaol_auth.accounts DROP COLUMN kind, DROP COLUMN name, DROP COLUMN email_verified_at;
ALTER TABLE uaol_auth.accounts ADD CONSTRAINT accounts_are_somebody CHECK (email IS NOT NULL OR guest_id IS NOT NULL);
