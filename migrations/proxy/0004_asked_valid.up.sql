ALTER TABLE uaol_proxy.calls VALIDATE CONSTRAINT calls_outcomes;
