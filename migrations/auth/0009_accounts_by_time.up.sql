-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.accounts_by_time;
CREATE INDEX CONCURRENTLY accounts_by_time ON uaol_auth.accounts (kind, created_at, account_id);
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.accounts_by_email;
CREATE INDEX CONCURRENTLY accounts_by_email ON uaol_auth.accounts ((email COLLATE "C"));
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.accounts_by_name;
CREATE INDEX CONCURRENTLY accounts_by_name ON uaol_auth.accounts ((lower(name) COLLATE "C")) WHERE name IS NOT NULL;
