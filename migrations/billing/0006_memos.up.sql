-- What a hold is for, in its owner's words: whoever finds it unended can tell.
ALTER TABLE uaol_billing.holds ADD COLUMN memo text NOT NULL DEFAULT '';
