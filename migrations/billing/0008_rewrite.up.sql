-- The entries so far, as a journal. Their spenders' ids are random and commit to
-- nothing: there is no SHA-256 that all databases write alike.
INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id)
SELECT gen_random_uuid(), organization_id, account_id, key_id FROM (
    SELECT DISTINCT organization_id, nullif(account_id, '00000000-0000-0000-0000-000000000000') AS account_id,
        coalesce(key_id, '00000000-0000-0000-0000-000000000000') AS key_id FROM uaol_billing.holds
    UNION
    SELECT DISTINCT organization_id, account_id, '00000000-0000-0000-0000-000000000000'::uuid FROM uaol_billing.entries) s
WHERE account_id IS NOT NULL;

UPDATE uaol_billing.holds h SET
    job_id = CASE h.owner WHEN 'job' THEN h.hold_id END,
    spender_id = (SELECT s.spender_id FROM uaol_billing.spenders s WHERE s.organization_id = h.organization_id AND s.account_id = h.account_id
        AND s.key_id = coalesce(h.key_id, '00000000-0000-0000-0000-000000000000'));

INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, hold_id, spender_id, job_id, created_at)
SELECT e.organization_id, row_number() OVER w, e.operation_id,
    CASE WHEN e.kind <> 'transfer' THEN e.kind WHEN e.available < 0 THEN 'send' ELSE 'receive' END,
    greatest(abs(e.available), abs(e.held)), sum(e.available) OVER w, h.hold_id, coalesce(h.spender_id, s.spender_id), h.job_id, e.created_at
FROM uaol_billing.entries e
LEFT JOIN uaol_billing.holds h ON h.organization_id = e.organization_id AND h.hold_id::text = split_part(e.operation_id, '/', 1)
    AND e.kind IN ('hold', 'settle', 'release')
LEFT JOIN uaol_billing.spenders s ON s.organization_id = e.organization_id AND s.account_id = e.account_id
    AND s.key_id = '00000000-0000-0000-0000-000000000000'
WHERE e.available <> 0 OR e.held <> 0
-- Of what happened at the same moment, what adds to an account comes first.
WINDOW w AS (PARTITION BY e.organization_id ORDER BY e.created_at, e.available DESC, e.held DESC, e.operation_id, e.kind ROWS UNBOUNDED PRECEDING);

UPDATE uaol_billing.accounts a SET
    last_seq = j.last_seq, grants = j.grants, transfers = j.transfers, revenue = j.revenue
FROM (
    SELECT organization_id, max(seq) AS last_seq,
        coalesce(sum(amount) FILTER (WHERE kind = 'grant'), 0)::bigint AS grants,
        coalesce(sum(CASE kind WHEN 'receive' THEN amount ELSE -amount END) FILTER (WHERE kind IN ('send', 'receive')), 0)::bigint AS transfers,
        coalesce(sum(amount) FILTER (WHERE kind = 'settle'), 0)::bigint AS revenue
    FROM uaol_billing.journal GROUP BY organization_id) j
WHERE j.organization_id = a.organization_id;

-- What is there stays; a month's credits come with the next month.
UPDATE uaol_billing.accounts SET
    holder = CASE granted WHEN 'opening/guest' THEN 'guest' WHEN 'opening/shared' THEN 'shared' WHEN 'opening/user' THEN 'user' ELSE '' END,
    renews_at = CASE WHEN granted IN ('opening/user', 'opening/shared')
        THEN (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' ELSE renews_at END;
