package registry

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// consistent holds what must always be true of all tools in the database.
func (b *bench) consistent(t testing.TB) {
	t.Helper()
	for what, sql := range map[string]string{
		"approved is what has a version in force": `SELECT count(*) FROM uaol_registry.tools WHERE (status = 'Approved') <> (approved_version IS NOT NULL)`,
		"what is in force is shown":               `SELECT count(*) FROM uaol_registry.tools WHERE approved_version IS NOT NULL AND approved_version <> version`,
		"what is in force was approved": `SELECT count(*) FROM uaol_registry.tools t WHERE approved_version IS NOT NULL AND NOT EXISTS (
			SELECT 1 FROM uaol_registry.versions v WHERE v.tool_id = t.tool_id AND v.version = t.approved_version AND v.status = 'Approved')`,
		"one version at most is approved": `SELECT count(*) FROM (SELECT tool_id FROM uaol_registry.versions WHERE status = 'Approved' GROUP BY tool_id HAVING count(*) > 1) x`,
		"what waits is the newest":        `SELECT count(*) FROM uaol_registry.tools WHERE pending_version IS NOT NULL AND pending_version <> latest_version`,
		"one version waits where one is said to": `SELECT count(*) FROM uaol_registry.tools t WHERE
			(SELECT count(*) FROM uaol_registry.versions v WHERE v.tool_id = t.tool_id AND v.status = 'Pending')
			<> (CASE WHEN t.pending_version IS NULL THEN 0 ELSE 1 END)`,
		"the newest version exists": `SELECT count(*) FROM uaol_registry.tools t WHERE latest_version <> (SELECT max(version) FROM uaol_registry.versions v WHERE v.tool_id = t.tool_id)`,
		"the head says what the version says": `SELECT count(*) FROM uaol_registry.tools t JOIN uaol_registry.versions v USING (tool_id, version)
			WHERE t.gateway_url <> v.definition->>'gateway_url' OR t.protocol <> v.definition->>'protocol' OR t.credit_cost_per_call <> (v.definition->>'credit_cost_per_call')::bigint
				OR t.method_costs <> coalesce(v.definition->'method_costs', '{}'::jsonb)`,
		"approved tools alone are looked at": `SELECT count(*) FROM uaol_registry.tools t WHERE (t.status = 'Approved') <> EXISTS (SELECT 1 FROM uaol_registry.health h WHERE h.tool_id = t.tool_id)`,
		"nothing else is quarantined":        `SELECT count(*) FROM uaol_registry.differences d JOIN uaol_registry.tools t USING (tool_id) WHERE t.status <> 'Approved'`,
		"pinned versions alone have methods": `SELECT count(*) FROM uaol_registry.methods m JOIN uaol_registry.versions v USING (tool_id, version) WHERE NOT v.pinned`,
		"every change has its event":         `SELECT count(*) FROM uaol_registry.decisions d WHERE NOT EXISTS (SELECT 1 FROM uaol_registry.outbox o WHERE o.subject = d.tool_id::text)`,
	} {
		var wrong int
		require.NoError(t, b.pool.QueryRow(t.Context(), sql).Scan(&wrong), what)
		require.Zero(t, wrong, what)
	}
}
