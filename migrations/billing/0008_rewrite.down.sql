-- There were fewer kinds: what has none of its own becomes a grant, of less than
-- nothing if need be, under a name that tells.
INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held, account_id, created_at)
SELECT j.organization_id,
    CASE WHEN j.kind IN ('grant', 'hold', 'settle', 'release', 'send', 'receive') THEN j.operation_id ELSE j.kind || '/' || j.operation_id END,
    CASE WHEN j.kind IN ('hold', 'settle', 'release') THEN j.kind WHEN j.kind IN ('send', 'receive') THEN 'transfer' ELSE 'grant' END,
    CASE WHEN j.kind IN ('grant', 'purchase', 'release', 'refund', 'receive') THEN j.amount
        WHEN j.kind IN ('hold', 'deduct', 'send', 'expire', 'return', 'repay') THEN -j.amount ELSE 0 END,
    CASE j.kind WHEN 'hold' THEN j.amount WHEN 'settle' THEN -j.amount WHEN 'release' THEN -j.amount ELSE 0 END,
    s.account_id, j.created_at
FROM uaol_billing.journal j LEFT JOIN uaol_billing.spenders s ON s.spender_id = j.spender_id;

UPDATE uaol_billing.holds h SET account_id = s.account_id, key_id = nullif(s.key_id, '00000000-0000-0000-0000-000000000000')
FROM uaol_billing.spenders s WHERE s.spender_id = h.spender_id AND s.account_id IS NOT NULL;

UPDATE uaol_billing.accounts SET granted = CASE WHEN holder = '' THEN '' ELSE 'opening/' || holder END;
