-- How many calls were made in each minute, how they ended and how long they took; counted
-- by the statement that records them.
CREATE TABLE uaol_proxy.call_minutes (
    organization_id uuid NOT NULL,
    minute          timestamptz NOT NULL, -- that the calls began in
    shard           smallint NOT NULL,    -- who counts at the same time has rows of his own; they are added up
    outcome         text NOT NULL,
    latency         smallint NOT NULL,    -- the range that it lies in (services/proxy/latencies.go); 0 of calls that did not run, or nobody knows how long
    calls           bigint NOT NULL,
    credits         bigint NOT NULL,
    PRIMARY KEY (organization_id, minute, shard, outcome, latency)
);
CREATE INDEX call_minutes_age ON uaol_proxy.call_minutes (minute);
