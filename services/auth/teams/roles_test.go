package teams_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// everybody is in the team of the table below; other is its second owner.
var everybody = map[string]services.OrgRole{
	"viewer": services.OrgViewer, "member": services.OrgMember, "admin": services.OrgAdmin, "owner": services.OrgOwner,
	"other": services.OrgOwner, "victim": services.OrgViewer,
}

// TestWhoMayDoWhat tries every route as everybody. robot is a service account
// that is an admin, and decides nothing all the same; foreign is the owner with a key of the personal organisation.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, b.person(t, "platform").ID)
	who := []string{"viewer", "member", "admin", "owner", "robot", "stranger", "platform", "foreign", "guest", "nobody"}
	outside := " 404 404 404 401 401"
	for _, test := range []struct{ method, path, body, want string }{
		{"GET", "", "", "200 200 200 200 200" + outside},
		{"PUT", "", `{"name":"New"}`, "403 403 200 200 403" + outside},
		{"DELETE", "", "", "403 403 403 200 403" + outside},
		{"GET", "/audit", "", "403 403 200 200 200" + outside},

		{"GET", "/members", "", "200 200 200 200 200" + outside},
		{"PUT", "/members/{victim}", `{"role":"member"}`, "403 403 200 200 403" + outside},
		{"PUT", "/members/{victim}", `{"role":"admin"}`, "403 403 200 200 403" + outside},
		{"PUT", "/members/{victim}", `{"role":"owner"}`, "403 403 403 200 403" + outside},
		{"PUT", "/members/{other}", `{"role":"admin"}`, "403 403 403 200 403" + outside},
		{"PUT", "/members/{admin}", `{"role":"viewer"}`, "403 403 200 200 403" + outside},
		{"PUT", "/members/{self}", `{"role":"owner"}`, "403 403 403 200 403" + outside},
		{"PUT", "/members/{stranger}", `{"role":"member"}`, "403 403 404 404 403" + outside},
		{"DELETE", "/members/{victim}", "", "403 403 200 200 403" + outside},
		{"DELETE", "/members/{other}", "", "403 403 403 200 403" + outside},
		{"DELETE", "/members/{self}", "", "200 200 200 200 403" + outside},
		{"DELETE", "/members/{stranger}", "", "403 403 404 404 403" + outside},
		{"DELETE", "/members/{robot}", "", "403 403 409 409 403" + outside},

		{"GET", "/invitations", "", "403 403 200 200 200" + outside},
		{"POST", "/invitations", `{"email":"new@example.com"}`, "403 403 201 201 403" + outside},
		{"POST", "/invitations", `{"email":"new@example.com","role":"admin"}`, "403 403 201 201 403" + outside},
		{"POST", "/invitations", `{"email":"new@example.com","role":"owner"}`, "403 403 403 201 403" + outside},
		{"DELETE", "/invitations/{invitation}", "", "403 403 200 200 403" + outside},

		{"GET", "/service-accounts", "", "200 200 200 200 200" + outside},
		{"POST", "/service-accounts", `{"name":"R2"}`, "403 403 201 201 403" + outside},
		{"DELETE", "/service-accounts/{robot}", "", "403 403 200 200 403" + outside},
		{"GET", "/service-accounts/{robot}/keys", "", "403 403 200 200 200" + outside},
		{"POST", "/service-accounts/{robot}/keys", `{"name":"k"}`, "403 403 201 201 403" + outside},
		{"DELETE", "/service-accounts/{robot}/keys/{key}", "", "403 403 200 200 403" + outside},
		{"GET", "/service-accounts/{victim}/keys", "", "403 403 404 404 404" + outside},
		{"POST", "/service-accounts/{victim}/keys", `{"name":"k"}`, "403 403 404 404 403" + outside},
		{"DELETE", "/service-accounts/{victim}", "", "403 403 404 404 403" + outside},
	} {
		t.Run(test.method+test.path+test.body, func(t *testing.T) {
			want := strings.Fields(test.want)
			require.Len(t, want, len(who))
			for i, name := range who {
				made := b.team(t, everybody)
				b.addRobot(t, &made, "owner", "admin")
				invitation := b.must(t, b.person(t, "owner").Token, "POST", made.path+"/invitations", `{"email":"somebody@example.com"}`).Data.ID
				self, credential := "", ""
				switch name {
				case "robot":
					self, credential = made.robot, made.robotKey
				case "foreign":
					self, credential = b.person(t, "owner").ID.String(), b.person(t, "owner").Key
				case "guest", "nobody":
					self = uuid.NewString()
				default:
					self, credential = b.person(t, name).ID.String(), b.person(t, name).Token
				}
				path := strings.NewReplacer(
					"{victim}", b.person(t, "victim").ID.String(), "{other}", b.person(t, "other").ID.String(), "{admin}", b.person(t, "admin").ID.String(),
					"{stranger}", b.person(t, "stranger").ID.String(), "{self}", self,
					"{robot}", made.robot, "{key}", made.robotKeyID, "{invitation}", invitation,
				).Replace(made.path + test.path)
				got := b.do(t, credential, test.method, path, test.body)
				require.Equal(t, want[i], strconv.Itoa(got.Status), "%s: %s", name, got.Text)
				if got.Status == 404 && name != "admin" && name != "owner" && name != "robot" {
					require.Equal(t, "Organisation not found", got.Message, "the same as for one that does not exist")
				}
			}
		})
	}
}

// TestPersonalOrganizationsAreClosed: they can be seen by whose they are.
func TestPersonalOrganizationsAreClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.person(t, "ada"), b.person(t, "bob")
	list := b.must(t, ada.Token, "GET", "/organizations", "").Rows
	require.Len(t, list, 1)
	require.True(t, list[0].Personal)
	require.Equal(t, "owner", list[0].Role)
	path := "/organizations/" + list[0].ID
	for _, test := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "", "", 200},
		{"GET", "/audit", "", 200},
		{"PUT", "", `{"name":"x"}`, 409},
		{"DELETE", "", "", 409},
		{"GET", "/members", "", 409},
		{"PUT", "/members/" + bob.ID.String(), `{"role":"admin"}`, 409},
		{"DELETE", "/members/" + ada.ID.String(), "", 409},
		{"GET", "/invitations", "", 409},
		{"POST", "/invitations", `{"email":"bob@example.com"}`, 409},
		{"DELETE", "/invitations/" + uuid.NewString(), "", 409},
		{"GET", "/service-accounts", "", 409},
		{"POST", "/service-accounts", `{"name":"x"}`, 409},
		{"DELETE", "/service-accounts/" + ada.ID.String(), "", 409},
		{"GET", "/service-accounts/" + ada.ID.String() + "/keys", "", 409},
		{"POST", "/service-accounts/" + ada.ID.String() + "/keys", `{"name":"x"}`, 409},
	} {
		got := b.do(t, ada.Token, test.method, path+test.path, test.body)
		require.Equal(t, test.want, got.Status, "%s %s: %s", test.method, test.path, got.Text)
		if test.want == 409 {
			require.Contains(t, got.Message, "personal organisation")
		}
		require.Equal(t, 404, b.do(t, bob.Token, test.method, path+test.path, test.body).Status, "nobody else learns of it")
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.members`))
}

// TestKeysReachTheirOrganization, as far as their scopes allow it, and make or
// join no other.
func TestKeysReachTheirOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, other := b.team(t, everybody), b.team(t, everybody)
	owner := b.person(t, "owner")
	all, reading, jobs := b.key(t, made, "owner"), b.key(t, made, "owner", "organizations:read"), b.key(t, made, "owner", "jobs:read", "jobs:write")
	for name, test := range map[string]struct{ key, method, path, body, want string }{
		"its own":              {all, "PUT", made.path, `{"name":"x"}`, "200"},
		"another":              {all, "GET", other.path, "", "404"},
		"reading":              {reading, "GET", made.path + "/members", "", "200"},
		"not writing":          {reading, "PUT", made.path, `{"name":"x"}`, "403"},
		"scopes of jobs":       {jobs, "GET", made.path, "", "403"},
		"making one":           {all, "POST", "/organizations", `{"name":"x"}`, "403"},
		"making one, personal": {owner.Key, "POST", "/organizations", `{"name":"x"}`, "403"},
		"joining one":          {owner.Key, "POST", "/invitations/accept", `{"invitation":"inv_x"}`, "403"},
	} {
		got := b.do(t, test.key, test.method, test.path, test.body)
		require.Equal(t, test.want, strconv.Itoa(got.Status), "%s: %s", name, got.Text)
	}
	require.Equal(t, 403, b.do(t, all, "POST", "/invitations/accept", `{"invitation":"inv_x"}`).Status)

	list := b.must(t, all, "GET", "/organizations", "").Rows
	require.Len(t, list, 1)
	require.Equal(t, made.ID.String(), list[0].ID)
	list = b.must(t, owner.Key, "GET", "/organizations", "").Rows
	require.Len(t, list, 1)
	require.True(t, list[0].Personal)
	require.Len(t, b.must(t, owner.Token, "GET", "/organizations", "").Rows, 3)

	// A key gives away no scope that it does not have.
	b.addRobot(t, &made, "owner", "admin")
	writing := b.key(t, made, "owner", "organizations:write", "jobs:read")
	path := made.path + "/service-accounts/" + made.robot + "/keys"
	require.Equal(t, 403, b.do(t, writing, "POST", path, `{"name":"k"}`).Status)
	require.Equal(t, 403, b.do(t, writing, "POST", path, `{"name":"k","scopes":["jobs:write"]}`).Status)
	require.Equal(t, 201, b.do(t, writing, "POST", path, `{"name":"k","scopes":["jobs:read"]}`).Status)
}

func TestOrganizationsAreListedInPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.person(t, "ada")
	for i := range 5 {
		b.must(t, ada.Token, "POST", "/organizations", fmt.Sprintf(`{"name":" Team %d "}`, i))
	}
	b.team(t, everybody) // of others
	var names []string
	cursor := ""
	for {
		page := b.must(t, ada.Token, "GET", "/organizations?limit=2&cursor="+cursor, "")
		for _, row := range page.Rows {
			names = append(names, row.Name)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, []string{"Team 4", "Team 3", "Team 2", "Team 1", "Team 0", "ada@example.com"}, names)
	for _, bad := range []string{`{}`, `{"name":""}`, `{"name":"  "}`, `{"name":"a\nb"}`, `{"name":"` + strings.Repeat("x", 101) + `"}`} {
		require.Equal(t, 400, b.do(t, ada.Token, "POST", "/organizations", bad).Status, bad)
	}
}
