-- Seals over the journal, each signed over the one before it with a key that is
-- not in the database.
CREATE TABLE uaol_billing.seals (
    number    bigint PRIMARY KEY,
    previous  bytea NOT NULL, -- the digest of the seal before
    root      bytea NOT NULL, -- of the tree over its ranges
    entries   bigint NOT NULL, -- how many it covers
    sealed_at timestamptz NOT NULL,
    key_id    bytea NOT NULL,
    signature bytea NOT NULL
);

-- Which entries a seal covers, by organisation.
CREATE TABLE uaol_billing.seal_ranges (
    organization_id uuid NOT NULL,
    last_seq        bigint NOT NULL,
    first_seq       bigint NOT NULL,
    number          bigint NOT NULL REFERENCES uaol_billing.seals (number),
    digest          bytea NOT NULL, -- of the tree over its entries
    PRIMARY KEY (organization_id, last_seq),
    CHECK (first_seq <= last_seq)
);
CREATE UNIQUE INDEX seal_ranges_number ON uaol_billing.seal_ranges (number, organization_id);
