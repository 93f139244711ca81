-- Models that answer with the platform's keys are paid for out of holds of their own.
ALTER TABLE uaol_billing.holds DROP CONSTRAINT holds_owner_check;
ALTER TABLE uaol_billing.holds ADD CONSTRAINT holds_owner_check CHECK (owner IN ('job', 'call', 'model'));
