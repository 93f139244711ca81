-- Credits that were moved stay where they are: as a grant, and as a payment.
UPDATE uaol_billing.entries SET operation_id = 'transfer/' || operation_id, kind = CASE WHEN available > 0 THEN 'grant' ELSE 'settle' END
WHERE kind = 'transfer';
ALTER TABLE uaol_billing.entries
    DROP CONSTRAINT entries_kinds,
    ADD CONSTRAINT entries_kind_check CHECK (kind IN ('grant', 'hold', 'settle', 'release'));
DROP INDEX uaol_billing.holds_organization;
ALTER TABLE uaol_billing.holds DROP COLUMN key_id;
ALTER TABLE uaol_billing.accounts DROP CONSTRAINT accounts_caps_seen, DROP COLUMN caps_set;
DROP TABLE uaol_billing.caps;
