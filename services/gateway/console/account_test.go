package console

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProgramOf(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36":                            "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":    "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0":                                             "Firefox on macOS",
		"curl/8.5.0": "curl", "": "", "my-agent/1": "my-agent/1",
		"a program with a name that is longer than a page has room for": "a program with a name that is longer tha…",
	} {
		require.Equal(t, want, programOf(agent), agent)
	}
}

func TestHow(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{
		"password": "With a password", "key": "With an API key", "register": "By registering", "link": "By a link", "google": "With Google", "oidc": "With single sign-on",
	} {
		require.Equal(t, want, signedInAt{Method: method}.How())
	}
}

// TestRolesFor: only an owner makes owners, and a program is never one.
func TestRolesFor(t *testing.T) {
	t.Parallel()
	names := func(all []role) (names []string) {
		for _, r := range all {
			names = append(names, r.Name)
		}
		return names
	}
	require.Equal(t, []string{"viewer", "member", "admin", "owner"}, names(rolesFor("owner")))
	require.Equal(t, []string{"viewer", "member", "admin"}, names(rolesFor("admin")))
	data := membersData{Roles: rolesFor("owner")}
	require.Equal(t, []string{"viewer", "member", "admin"}, names(data.Offered(member{Kind: serviceAccount})))
	require.Equal(t, []string{"viewer", "member", "admin", "owner"}, names(data.Offered(member{Kind: "user"})))
	owner, admin, viewer := who{Organization: organization{Role: "owner"}}, who{Organization: organization{Role: "admin"}}, who{Organization: organization{Role: "viewer"}}
	require.True(t, data.Changes(owner, member{Role: "owner"}))
	require.False(t, data.Changes(admin, member{Role: "owner"}))
	require.True(t, data.Changes(admin, member{Role: "admin"}))
	require.False(t, data.Changes(viewer, member{Role: "viewer"}))
}
