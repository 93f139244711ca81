ALTER TABLE uaol_billing.accounts DROP COLUMN granted;
