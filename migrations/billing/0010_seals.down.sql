DROP TABLE uaol_billing.seal_ranges;
DROP TABLE uaol_billing.seals;
