package jobs

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/services"
)

// TestListsByStatus: each job is in the list of its status and in no other, page
// by page, whatever is made meanwhile.
func TestListsByStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	b.caller = services.Caller{Account: id, Organization: id, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	// Two of each, and some of somebody else; older and newer by turns.
	want := map[string][]string{}
	made := time.Now().Add(-time.Hour)
	add := func(owner uuid.UUID, status Status, waits string) {
		job := newID()
		end := any(nil)
		if status.Ended() {
			end = made
		}
		stored := status
		if !status.Ended() {
			stored = Queued
		}
		made = made.Add(time.Second)
		b.exec(t, `INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, created_at, end_time)
			VALUES ($1, $2, $2, '{"steps":[{"id":"a","kind":"sleep","duration":"1s"}]}', '[[0,0,0]]', $3, 0, $4, $5)`, job, owner, string(stored), made, end)
		switch {
		case status == Failed || status == Cancelled:
			b.exec(t, `INSERT INTO uaol_jobs.failures (job_id, organization_id, status, created_at, redriven) VALUES ($1, $2, $3, $4, $5)`, job, owner, string(status), made, newID())
		case waits != "":
			b.exec(t, `INSERT INTO uaol_jobs.queue (job_id, lane, priority, status, fence) VALUES ($1, $2, 0, $3, 1)`, job, owner, waits)
		case status == Running:
			b.exec(t, `INSERT INTO uaol_jobs.runs (job_id, worker_id, fence, started_at) VALUES ($1, gen_random_uuid(), 1, now())`, job)
		}
		if owner == id {
			want[string(status)] = append([]string{job.String()}, want[string(status)]...)
		}
	}
	for _, owner := range []uuid.UUID{id, uuid.New(), id} {
		for _, status := range []Status{Success, Failed, Cancelled} {
			add(owner, status, "")
		}
		add(owner, Running, "")
		for _, status := range []Status{Queued, Running, Retrying} {
			add(owner, status, string(status))
		}
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: known{}}, true, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)
	ask := func(query string) (int, map[string]any) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/jobs"+query, nil)
		request.Header.Set("Authorization", "Bearer "+id.String())
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w.Code, object(t, w.Body.String())
	}
	for _, status := range []string{"Queued", "Running", "Retrying", "Success", "Failed", "Cancelled"} {
		var got []string
		for cursor := ""; ; {
			code, answer := ask("?limit=1&status=" + status + "&cursor=" + cursor)
			require.Equal(t, http.StatusOK, code, answer)
			for _, job := range answer["data"].([]any) {
				require.Equal(t, status, job.(map[string]any)["status"])
				got = append(got, job.(map[string]any)["job_id"].(string))
			}
			waits := status
			if Status(status).Ended() {
				waits = ""
			}
			add(id, Status(status), waits) // what is newer is not on the pages that follow
			want[status] = want[status][1:]
			next, more := answer["nextCursor"].(string)
			if !more {
				break
			}
			cursor = next
		}
		require.Equal(t, want[status], got, status)
	}
	for _, bad := range []string{"Waiting", "failed", "Success'", "Unknown"} {
		code, answer := ask("?status=" + bad)
		require.Equal(t, http.StatusBadRequest, code, bad)
		require.Equal(t, "query.status", answer["error"].(map[string]any)["details"].([]any)[0].(map[string]any)["path"], answer)
	}
	code, answer := ask("?status=")
	require.Equal(t, http.StatusOK, code, answer)
	_, answer = ask("?limit=200")
	require.Greater(t, len(answer["data"].([]any)), 14, "without a status all of them")
}
