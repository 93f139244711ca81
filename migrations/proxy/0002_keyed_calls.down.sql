DROP TABLE uaol_proxy.keyed_calls;
