-- Tools may ask for something before they act: such a call is neither made nor failed.
ALTER TABLE uaol_proxy.calls
    DROP CONSTRAINT calls_outcome_check,
    ADD CONSTRAINT calls_outcomes CHECK (outcome IN ('success', 'failed', 'refused', 'unknown', 'asked')) NOT VALID;
