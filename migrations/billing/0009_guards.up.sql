-- The guards: no statement, however wrong, gets past them.
ALTER TABLE uaol_billing.accounts
    DROP COLUMN granted,
    ADD CONSTRAINT accounts_balanced CHECK (available + held + revenue + expired = grants + purchases + transfers + debt),
    ADD CONSTRAINT accounts_revenue CHECK (revenue >= 0),
    ADD CONSTRAINT accounts_purchases CHECK (purchases >= 0),
    ADD CONSTRAINT accounts_debt CHECK (debt >= 0),
    ADD CONSTRAINT accounts_calls CHECK (calls_left >= 0),
    ADD CONSTRAINT accounts_monthly CHECK (monthly >= 0 AND stale >= 0 AND stale <= held AND monthly + stale <= available + held);

-- Each hold names its organisation's account, or it would not be there: it is
-- written by the statement that moves that account's credits. Looking it up once
-- more for each row costs as much as writing it.
ALTER TABLE uaol_billing.holds
    DROP CONSTRAINT holds_organization_id_fkey,
    DROP COLUMN account_id,
    DROP COLUMN key_id;

DROP TABLE uaol_billing.entries;
