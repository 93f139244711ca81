DROP TABLE uaol_billing.entries;
DROP TABLE uaol_billing.holds;
DROP TABLE uaol_billing.accounts;
