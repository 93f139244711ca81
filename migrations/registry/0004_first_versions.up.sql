-- Apart from the columns' own step: CockroachDB fills new columns only after it.
INSERT INTO uaol_registry.versions (tool_id, version, status, definition, created_by, created_at, decided_at)
SELECT tool_id, version,
    CASE status WHEN 'Pending' THEN 'Pending' ELSE 'Approved' END,
    jsonb_build_object('gateway_url', gateway_url, 'protocol', protocol, 'credit_cost_per_call', credit_cost_per_call, 'visibility', 'public'),
    developer_id, created_at, CASE status WHEN 'Pending' THEN NULL ELSE updated_at END
FROM uaol_registry.tools;
UPDATE uaol_registry.tools SET latest_version = version, search = to_tsvector('simple', name || ' ' || slug),
    approved_version = CASE status WHEN 'Approved' THEN version END, pending_version = CASE status WHEN 'Pending' THEN version END;
INSERT INTO uaol_registry.health (tool_id) SELECT tool_id FROM uaol_registry.tools WHERE status = 'Approved';
