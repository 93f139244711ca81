DROP TABLE uaol_proxy.parked;
DROP TABLE uaol_proxy.letters;
DROP TABLE uaol_proxy.sessions;
