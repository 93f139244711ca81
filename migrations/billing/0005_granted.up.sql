-- The account's last grant, so that asking for a balance reads one row. That
-- each is given once is still the entries' word.
ALTER TABLE uaol_billing.accounts ADD COLUMN granted text NOT NULL DEFAULT '';
