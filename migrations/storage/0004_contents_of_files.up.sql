-- Apart from the step before: in the transaction that adds a column CockroachDB lets
-- nobody write it (https://github.com/cockroachdb/cockroach/issues/31463).
UPDATE uaol_storage.files f SET content_id = c.content_id
FROM uaol_storage.contents c WHERE c.organization_id = f.organization_id AND c.sha256 = f.sha256 AND c.state = 'kept';
ALTER TABLE uaol_storage.files ALTER COLUMN content_id SET NOT NULL;
CREATE INDEX files_content ON uaol_storage.files (content_id);
INSERT INTO uaol_storage.usage (organization_id, bytes, files)
SELECT f.organization_id, (SELECT coalesce(sum(c.size), 0)::bigint FROM uaol_storage.contents c WHERE c.organization_id = f.organization_id AND c.state = 'kept'), count(*)
FROM uaol_storage.files f GROUP BY f.organization_id;
