ALTER TABLE uaol_proxy.calls
    DROP CONSTRAINT calls_outcomes,
    ADD CONSTRAINT calls_outcome_check CHECK (outcome IN ('success', 'failed', 'refused', 'unknown')) NOT VALID;
