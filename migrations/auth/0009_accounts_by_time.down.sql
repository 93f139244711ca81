-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.accounts_by_name;
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.accounts_by_email;
DROP INDEX CONCURRENTLY IF EXISTS uaol_auth.accounts_by_time;
