DROP TABLE uaol_proxy.subscriptions;
