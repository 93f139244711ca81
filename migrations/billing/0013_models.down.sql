DELETE FROM uaol_billing.holds WHERE owner = 'model' AND state <> 'open';
ALTER TABLE uaol_billing.holds DROP CONSTRAINT holds_owner_check;
ALTER TABLE uaol_billing.holds ADD CONSTRAINT holds_owner_check CHECK (owner IN ('job', 'call'));
