package pages

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
)

// TestPictures makes the pictures that README shows, of a UAOL that is used: its jobs,
// calls and prices are real, only the minutes in which they happened are spread over an
// hour.
func TestPictures(t *testing.T) {
	dir := os.Getenv("UAOL_README_PICTURES")
	if dir == "" {
		t.Skip("`make pictures` makes README's pictures")
	}
	t.Setenv("UAOL_TEST_PICTURES", dir)
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Research", 3)
	for i := range 240 {
		method := "echo"
		if i%17 == 0 {
			method = "fails"
		}
		ada.Do(t, http.MethodPost, "/proxy/"+tool+"/call", object{"method": method, "params": object{"text": fmt.Sprint(i)}})
	}
	var last string
	for i := range 40 {
		steps := []object{
			call("fetch", tool, "echo", "report "+fmt.Sprint(i)),
			call("summarise", tool, "echo", "{{fetch.result.content.0.text}}, in short"),
			call("translate", tool, "echo", "{{fetch.result.content.0.text}}, in Greek"),
			call("check", tool, "echo", "{{summarise.result.content.0.text}}"),
			call("publish", tool, "echo", "{{check.result.content.0.text}} {{translate.result.content.0.text}}"),
		}
		if i%9 == 8 {
			steps[3] = call("check", tool, "fails", "{{summarise.result.content.0.text}}")
		}
		last = ada.run(t, object{"topic": "durable workflows"}, steps...)
	}
	ada.until(t, last, "Success")
	b.spread(t)
	waits := ada.run(t, object{"to": "the board"},
		call("fetch", tool, "echo", "figures of the quarter"),
		call("summarise", tool, "echo", "{{fetch.result.content.0.text}}, in short"),
		call("translate", tool, "echo", "{{fetch.result.content.0.text}}, in Greek"),
		object{"id": "ask", "kind": "approval", "approves": "send", "message": "Send it to {{input.to}}?"},
		call("send", tool, "echo", "{{summarise.result.content.0.text}}; {{translate.result.content.0.text}}"))

	tab := b.enter(t, ada)
	tab.Until(`document.querySelectorAll('.uplot').length == 4`)
	tab.Looks(1440, "light")
	tab.Go("/console")
	tab.Until(`document.querySelectorAll('.uplot').length == 4`)
	tab.Screen("overview")
	tab.Looks(1440, "dark")
	tab.Go("/console/jobs/" + waits)
	tab.Until(`document.querySelectorAll('.graph .node.good').length == 3 && document.querySelectorAll('.graph .node.wait').length == 1`)
	browser.Run[bool](tab, `(() => { scrollTo(0, 0); return true })()`)
	tab.Screen("job")
}

// spread moves what was counted in the last minutes over the hour before.
func (b *bundle) spread(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	db, err := pgx.Connect(ctx, b.world.Database)
	require.NoError(t, err)
	defer db.Close(ctx)
	for _, sql := range []string{
		`INSERT INTO uaol_proxy.call_minutes (organization_id, minute, shard, outcome, latency, calls, credits)
			SELECT m.organization_id, m.minute - i * interval '1 minute', m.shard, m.outcome, m.latency + (i * 7 % 5), greatest(1, m.calls * (30 + i * 13 % 50) / 200), m.credits * (30 + i * 13 % 50) / 200
			FROM uaol_proxy.call_minutes m, generate_series(1, 58) i ON CONFLICT DO NOTHING`,
		`INSERT INTO uaol_jobs.job_minutes (organization_id, minute, shard, status, jobs, credits)
			SELECT m.organization_id, m.minute - i * interval '1 minute', m.shard, m.status, greatest(1, m.jobs * (20 + i * 11 % 60) / 100), m.credits * (20 + i * 11 % 60) / 100
			FROM uaol_jobs.job_minutes m, generate_series(1, 58) i ON CONFLICT DO NOTHING`,
	} {
		_, err := db.Exec(ctx, sql)
		require.NoError(t, err)
	}
}
