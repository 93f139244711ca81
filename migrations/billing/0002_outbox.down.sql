DROP TABLE uaol_billing.outbox;
