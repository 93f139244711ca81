DROP TABLE uaol_billing.stripe_events;
DROP TABLE uaol_billing.reversals;
DROP TABLE uaol_billing.payments;
DROP TABLE uaol_billing.invoices;
DROP TABLE uaol_billing.subscriptions;
DROP TABLE uaol_billing.customers;
