DROP TABLE uaol_billing.leases;
