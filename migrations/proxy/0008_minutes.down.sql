DROP TABLE uaol_proxy.call_minutes;
