DROP TABLE uaol_registry.health;
DROP TABLE uaol_registry.decisions;
DROP TABLE uaol_registry.differences;
DROP TABLE uaol_registry.methods;
DROP TABLE uaol_registry.versions;
DROP INDEX uaol_registry.tools_source;
DROP INDEX uaol_registry.tools_developer;
DROP INDEX uaol_registry.tools_search;
UPDATE uaol_registry.tools SET status = 'Disabled' WHERE status = 'Rejected';
ALTER TABLE uaol_registry.tools DROP CONSTRAINT tools_statuses;
ALTER TABLE uaol_registry.tools ADD CONSTRAINT tools_status_check CHECK (status IN ('Pending', 'Approved', 'Disabled'));
ALTER TABLE uaol_registry.tools
    DROP COLUMN search, DROP COLUMN imported, DROP COLUMN source_name, DROP COLUMN source, DROP COLUMN method_costs, DROP COLUMN revision, DROP COLUMN latest_version, DROP COLUMN pending_version, DROP COLUMN approved_version,
    DROP COLUMN visibility, DROP COLUMN documentation_url, DROP COLUMN tags, DROP COLUMN description;
