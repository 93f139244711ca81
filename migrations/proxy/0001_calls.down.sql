DROP TABLE uaol_proxy.calls;
