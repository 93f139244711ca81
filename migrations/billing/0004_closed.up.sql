-- An account of an organisation that has ended. What happened stays; nothing
-- more can be spent.
ALTER TABLE uaol_billing.accounts ADD COLUMN closed_at timestamptz;
