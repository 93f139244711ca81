package acceptance

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/api"
)

// organization is a shared one with an account in each role, and with things of
// its own. canary is in the name of all that is its own and nobody else's to see.
type organization struct {
	*suite
	id, canary string
	clients    map[string]world.Client
	accounts   map[string]string // ids
}

const nobodysID = "00000000-0000-4000-8000-000000000000"

// newOrganization makes one with its accounts, credits and a guest beside it.
func newOrganization(t *testing.T, s *suite, passwords bool) *organization {
	t.Helper()
	o := &organization{suite: s, canary: "canary" + strings.ToLower(email()[:8]), clients: map[string]world.Client{}, accounts: map[string]string{}}
	for _, role := range []string{"viewer", "member", "admin", "owner", "platform"} {
		somebody := object{"email": o.canary + role + "@example.com"}
		if passwords {
			somebody["password"] = "correct horse"
		}
		answer := s.nobody().Do(t, http.MethodPost, "/auth/register", somebody)
		require.Equal(t, http.StatusCreated, answer.Status, answer)
		o.clients[role], o.accounts[role] = s.nobody().As(answer.Text("data.token")), answer.Text("data.user.id")
	}
	s.promote(t, o.accounts["platform"])
	o.clients["anonymous"], o.clients["guest"] = s.nobody(), s.nobody().Guest(o.canary)
	made := o.clients["owner"].Do(t, http.MethodPost, "/organizations", object{"name": o.canary})
	require.Equal(t, http.StatusCreated, made.Status, made)
	o.id = made.Text("data.id")
	for _, role := range []string{"viewer", "member", "admin"} {
		o.join(t, role, o.clients[role], o.canary+role+"@example.com")
	}
	return o
}

// promote makes an account an admin of the platform, which no request can.
func (s *suite) promote(t *testing.T, account string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), s.world.Database)
	require.NoError(t, err)
	defer func() { _ = connection.Close(t.Context()) }()
	_, err = connection.Exec(t.Context(), `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, account)
	require.NoError(t, err)
}

// join invites an account and lets it accept.
func (o *organization) join(t *testing.T, role string, client world.Client, address string) {
	t.Helper()
	invited := o.clients["owner"].Do(t, http.MethodPost, "/organizations/"+o.id+"/invitations", object{"email": address, "role": role})
	require.Equal(t, http.StatusCreated, invited.Status, invited)
	accepted := client.Do(t, http.MethodPost, "/invitations/accept", object{"invitation": invited.Text("data.invitation")})
	require.Equal(t, http.StatusOK, accepted.Status, accepted)
}

func (o *organization) client(who string) world.Client { return o.clients[who] }

// place is where somebody's things are.
type place struct {
	*organization
	role string
}

func (o *organization) at(role string) place { return place{o, role} }

// maker makes what a place needs: the organisation's owner for those who are in
// it, a guest and the platform's admin for themselves.
func (p place) maker() world.Client {
	switch p.role {
	case "guest", "platform":
		return p.clients[p.role]
	}
	return p.clients["owner"].With("X-Organization", p.id)
}

// path fills the operation's path with things of the place, made for this
// request, so that one answer does not change the next.
func (p place) path(t *testing.T, op api.Operation) string {
	t.Helper()
	path, made := op.Path, map[string]string{}
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		name, after, _ := strings.Cut(rest, "}")
		made[name] = p.thing(t, op, name, made)
		path = before + made[name] + after
	}
	return path
}

// thing makes one and gives its id; made are those before it in the path.
func (p place) thing(t *testing.T, op api.Operation, name string, made map[string]string) string {
	t.Helper()
	switch name {
	case "toolId":
		if p.role == "guest" {
			return nobodysID
		}
		return p.newTool(t, 0)
	case "callId", "receiptId":
		if p.role == "guest" {
			return nobodysID
		}
		return p.newCall(t, map[string]int{"receiptId": 1}[name])
	case "name":
		return "A_SECRET"
	case "namespace": // of UAOL_PUBLIC_URL's default
		return "localhost"
	case "server":
		if p.role == "guest" {
			return "nothing"
		}
		return p.admin().Do(t, http.MethodGet, "/tools/"+p.newTool(t, 0), nil).Text("data.slug")
	case "version":
		if strings.HasPrefix(op.Path, "/workflows") {
			return "1"
		}
		return "latest"
	case "scheduleId":
		if p.role == "guest" {
			return nobodysID
		}
		body := workflow(step("a", p.newTool(t, 0), "echo", object{"text": p.canary}))
		body["cron"] = "@yearly"
		return p.newThing(t, "/schedules", body, "data.schedule_id")
	case "workflowId":
		if p.role == "guest" {
			return nobodysID
		}
		body := workflow(step("a", p.newTool(t, 0), "echo", object{"text": p.canary}))
		body["name"] = p.canary + email()
		return p.newThing(t, "/workflows", body, "data.workflow_id")
	case "profile":
		if p.role == "guest" {
			return nobodysID
		}
		return p.newThing(t, "/profiles", object{"name": word(), "description": p.canary, "tools": []object{{"tool": p.newTool(t, 0)}}}, "data.profileId")
	case "jobId":
		return p.newJob(t)
	case "conversationId": // the account's own: nobody else is told of it
		return nobodysID
	case "stepId":
		return "nothing"
	case "fileId":
		if p.role == "guest" {
			return nobodysID
		}
		return p.newThing(t, "/storage/upload", object{"filename": p.canary + ".txt", "contentType": "text/plain",
			"data": base64.StdEncoding.EncodeToString([]byte(p.canary))}, "data.fileId")
	case "provider":
		if p.role == "guest" {
			return "openai"
		}
		p.newThing(t, "/api-keys", object{"provider": "openai", "apiKey": "sk-" + p.canary + "abcdefghijklmnop"}, "data.provider")
		return "openai"
	case "organizationId":
		return p.id
	case "accountId":
		if strings.Contains(op.Path, "service-accounts") {
			return p.serviceAccount(t)
		}
		return p.newMember(t)
	case "invitationId":
		if strings.HasPrefix(op.Path, "/invitations") {
			return p.newBy(t, p.admin(), "/invitations", object{"email": p.canary + email()}, "data.id")
		}
		return p.newBy(t, p.clients["owner"], "/organizations/"+p.id+"/invitations", object{"email": p.canary + email(), "role": "member"}, "data.id")
	case "keyId":
		if strings.Contains(op.Path, "service-accounts") {
			return p.newBy(t, p.clients["owner"], "/organizations/"+p.id+"/service-accounts/"+made["accountId"]+"/keys", object{"name": p.canary}, "data.id")
		}
		return p.newOwn(t, "/auth/keys", object{"name": p.canary}, "data.id")
	case "sessionId":
		return p.newSession(t)
	case "identityId", "grantId", "eventId":
		return nobodysID
	case "kind": // of a part of the protected resource
		return "p"
	case "part":
		return "mine"
	}
	t.Fatalf("say how a %s is made for %s", name, op.Path)
	return ""
}

func (p place) newThing(t *testing.T, path string, body object, id string) string {
	t.Helper()
	return p.newBy(t, p.maker(), path, body, id)
}

// newOwn makes a thing of the account's own, not of the organisation's.
func (p place) newOwn(t *testing.T, path string, body object, id string) string {
	t.Helper()
	if p.role == "guest" || p.role == "anonymous" {
		return nobodysID
	}
	return p.newBy(t, p.clients[p.role], path, body, id)
}

func (p place) newBy(t *testing.T, client world.Client, path string, body object, id string) string {
	t.Helper()
	made := client.Do(t, http.MethodPost, path, body)
	require.Contains(t, []int{http.StatusOK, http.StatusCreated}, made.Status, "%s: %s", path, made)
	return made.Text(id)
}

func (p place) newTool(t *testing.T, price int) string {
	t.Helper()
	tool := p.newThing(t, "/tools", object{"name": p.canary, "gateway_url": p.tools.URL + "/mcp", "credit_cost_per_call": price}, "data.tool_id")
	answer := p.admin().Do(t, http.MethodPost, "/tools/"+tool+"/approve", nil)
	require.Equal(t, http.StatusOK, answer.Status, answer)
	return tool
}

// newCall makes one call of a tool; its record follows within a moment. What it
// costs is given before.
func (p place) newCall(t *testing.T, price int) (id string) {
	t.Helper()
	tool := p.newTool(t, price)
	if price > 0 && p.role != "platform" {
		balance := p.maker().Do(t, http.MethodGet, "/credits/balance", nil)
		require.Equal(t, http.StatusOK, balance.Status, balance)
		given := p.admin().Do(t, http.MethodPost, "/credits/grant", object{"organizationId": p.id, "amount": price, "reason": "a test"})
		require.Equal(t, http.StatusOK, given.Status, given)
	}
	answer := p.maker().Do(t, http.MethodPost, "/proxy/"+tool+"/call", object{"method": "echo", "params": object{"text": p.canary}})
	require.Equal(t, http.StatusOK, answer.Status, answer)
	require.Eventually(t, func() bool {
		calls := p.maker().Do(t, http.MethodGet, "/proxy/calls?tool="+tool, nil)
		require.Equal(t, http.StatusOK, calls.Status, calls)
		id = calls.Text("data.0.callId")
		return id != ""
	}, time.Minute, 10*time.Millisecond)
	return id
}

func (p place) newJob(t *testing.T) string {
	t.Helper()
	tool := p.organization.at("owner").newTool(t, 0)
	if p.role == "guest" { // it may create ten: each time another guest
		p.clients["guest"] = p.nobody().Guest(p.canary + email())
	}
	return p.newThing(t, "/jobs", workflow(step("a", tool, "echo", object{"text": p.canary})), "data.job_id")
}

func (p place) serviceAccount(t *testing.T) string {
	t.Helper()
	return p.newBy(t, p.clients["owner"], "/organizations/"+p.id+"/service-accounts", object{"name": p.canary, "role": "member"}, "data.accountId")
}

// newMember makes an account that is in the organisation.
func (p place) newMember(t *testing.T) string {
	t.Helper()
	address := p.canary + email()
	registered := p.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": address})
	require.Equal(t, http.StatusCreated, registered.Status, registered)
	p.join(t, "member", p.nobody().As(registered.Text("data.token")), address)
	return registered.Text("data.user.id")
}

func (p place) newSession(t *testing.T) string {
	t.Helper()
	if p.role == "guest" || p.role == "anonymous" {
		return nobodysID
	}
	p.newBy(t, p.nobody(), "/auth/login", object{"email": p.canary + p.role + "@example.com", "password": "correct horse"}, "data.token")
	return p.clients[p.role].Do(t, http.MethodGet, "/auth/sessions", nil).Text("data.0.id")
}
