ALTER TABLE uaol_billing.holds DROP COLUMN memo;
