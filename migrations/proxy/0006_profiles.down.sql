DROP TABLE uaol_proxy.profiles;
