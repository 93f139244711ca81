ALTER TABLE uaol_billing.accounts DROP COLUMN closed_at;
