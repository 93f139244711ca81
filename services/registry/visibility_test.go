package registry

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestWhoSeesATool goes through every visibility, status and kind of caller, and
// every way to find a tool.
func TestWhoSeesATool(t *testing.T) {
	t.Parallel()
	b, owner, root := setup(t), user(), admin()
	mate, stranger := user(), user()
	mate.Organization = owner.Organization
	abroad := owner
	abroad.Organization = uuid.New() // the same account, in another organisation
	callers := map[string]services.Caller{"owner": owner, "mate": mate, "stranger": stranger, "abroad": abroad, "admin": root, "nobody": {}}
	for visibility, sees := range map[Visibility][]string{
		Public:       {"owner", "mate", "stranger", "abroad", "admin", "nobody"},
		Organization: {"owner", "mate", "admin"},
		Private:      {"owner", "admin"},
	} {
		for _, status := range []Status{Pending, Approved, Rejected, Disabled} {
			name, url := fmt.Sprint(visibility, status), toolURL
			tool, err := b.service.Register(t.Context(), owner, Change{Name: &name, GatewayURL: &url, Visibility: &visibility})
			require.NoError(t, err)
			switch status {
			case Approved:
				err = b.service.Approve(t.Context(), root, tool.ID, Decision{Unpinned: true})
			case Rejected:
				err = b.service.Reject(t.Context(), root, tool.ID, Decision{Reason: "no"})
			case Disabled:
				err = b.service.Disable(t.Context(), root, tool.ID, Decision{})
			}
			require.NoError(t, err)
			b.follow(t) // what one is shown is not shown to another from memory
			b.do(t, mate, "GET", "/tools/"+tool.ID.String(), "", nil)
			for who, caller := range callers {
				what := fmt.Sprintf("%s looks for a tool that is %s and %s", who, visibility, status)
				visible := slices.Contains(sees, who)
				code := map[bool]int{true: 200, false: 404}[visible]
				require.Equal(t, code, b.do(t, caller, "GET", "/tools/"+tool.ID.String(), "", nil).Status, what)

				// Lists of others than the approved ones are for one's own, and admins.
				listed := visible && (status == Approved || who == "owner" || who == "mate" || who == "admin")
				for _, query := range []string{"?limit=200", "?limit=200&q=" + name} {
					var found []Tool
					b.do(t, caller, "GET", "/tools"+query+"&status="+string(status), "", &found)
					require.Equal(t, listed, slices.ContainsFunc(found, func(f Tool) bool { return f.ID == tool.ID }), what+query)
				}
				if !caller.Known() {
					continue
				}
				var own []Tool
				b.do(t, caller, "GET", "/tools/my/tools?limit=200", "", &own)
				require.Equal(t, who == "owner" || (who == "mate" && visibility != Private), slices.ContainsFunc(own, func(f Tool) bool { return f.ID == tool.ID }), what)

				reviewed := map[bool]int{true: 200, false: 404}[who == "owner" || who == "admin" || (who == "mate" && visibility != Private)]
				for _, part := range []string{"versions", "history", "diff"} {
					require.Equal(t, reviewed, b.do(t, caller, "GET", "/tools/"+tool.ID.String()+"/"+part, "", nil).Status, what+part)
				}
				if who != "owner" && who != "mate" {
					refused := map[bool]int{true: 400, false: 404}[visible]
					require.Equal(t, refused, b.do(t, caller, "PUT", "/tools/"+tool.ID.String(), `{"name":"Stolen"}`, nil).Status, what)
					require.Equal(t, refused, b.do(t, caller, "DELETE", "/tools/"+tool.ID.String(), "", nil).Status, what)
				}
				_, err := b.service.Credentialed(t.Context(), caller, tool.ID, 0)
				require.Equal(t, visible, err == nil, what)
				if status == Approved {
					offers, err := b.service.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{tool.ID}})
					require.NoError(t, err)
					calls := visible && (who != "admin" || visibility == Public) // admins look at tools, they do not call them
					require.Equal(t, calls, offers[0].VisibleTo(caller), what)
					_, err = b.service.Credentials(t.Context(), CredentialsRequest{Caller: caller, ToolID: tool.ID, Version: 1})
					require.Equal(t, calls, err == nil, what)
				}
			}
			if visibility == Private {
				require.Equal(t, 404, b.do(t, mate, "PUT", "/tools/"+tool.ID.String(), `{"name":"Taken"}`, nil).Status, "a private tool is its maker's alone")
			}
		}
	}
}

// TestNarrowingCountsAtOnce, and widening is for an admin to decide.
func TestNarrowingCountsAtOnce(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	tool := b.register(t, owner, "Mine")
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	see := func(visibility Visibility, version int64, waits bool) {
		t.Helper()
		now, err := b.service.Tool(t.Context(), tool.ID)
		require.NoError(t, err)
		require.Equal(t, visibility, now.Visibility)
		require.Equal(t, waits, now.PendingVersion != nil)
		offers, err := b.service.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{tool.ID}})
		require.NoError(t, err)
		require.Equal(t, visibility, offers[0].Visibility)
		require.Equal(t, version, offers[0].Version)
		require.Equal(t, Approved, now.Status)
	}
	put := func(body string) {
		t.Helper()
		got := b.do(t, owner, "PUT", "/tools/"+tool.ID.String(), body, nil)
		require.Equal(t, 200, got.Status, got.Text)
	}
	put(`{"visibility":"private"}`)
	see(Private, 1, false)
	put(`{"credit_cost_per_call":7}`) // the new version does not widen it again
	see(Private, 1, true)
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	see(Private, 2, false)
	put(`{"visibility":"organization"}`)
	see(Private, 2, true)
	put(`{"visibility":"public"}`)
	see(Private, 2, true)
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	see(Public, 4, false)
	put(`{"credit_cost_per_call":8}`)
	put(`{"visibility":"private"}`) // also of what waits
	see(Private, 4, true)
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	see(Private, 6, false)
	require.NoError(t, b.service.Disable(t.Context(), admin(), tool.ID, Decision{}))
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	see(Private, 6, false)

	other := b.register(t, owner, "Public once")
	require.NoError(t, b.service.Approve(t.Context(), admin(), other.ID, Decision{Unpinned: true}))
	got := b.do(t, owner, "PUT", "/tools/"+other.ID.String(), `{"visibility":"private"}`, nil)
	require.Equal(t, 200, got.Status, got.Text)
	require.NoError(t, b.service.Disable(t.Context(), admin(), other.ID, Decision{}))
	require.NoError(t, b.service.Approve(t.Context(), admin(), other.ID, Decision{Unpinned: true}))
	require.Equal(t, Private, b.tool(t, other.ID).Visibility, "an admin who brings it back does not widen it")
	b.consistent(t)
}
