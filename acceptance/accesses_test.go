package acceptance

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Kinds of answers, in the order of asking: anonymous, guest, viewer, member,
// admin, owner, platform.
const (
	everybody     = "200"
	accounts      = "401 401 200 200 200 200 200"
	nothingThere  = "401 401 404 404 404 404 404" // with an account, but not yours
	members       = "401 401 403 200 200 200 200" // the platform's admin is one at home
	admins        = "401 401 403 403 200 200 200"
	platform      = "401 401 403 403 403 403 200"
	platformFails = "401 401 403 403 403 403 400"
	platformFinds = "401 401 403 403 403 403 404" // that there is none
	unconfigured  = "401 401 403 403 503 503 503"
	refusedAll    = "401 401 403 403 403 403 403"
	noSession     = "401 401 403 404 404 404 404"
	notAStream    = "401 401 400 400 400 400 400"
)

func says(body object) func(*testing.T, *organization) any {
	return func(*testing.T, *organization) any { return body }
}

var mcpPing = object{"jsonrpc": "2.0", "id": 1, "method": "ping"}

// word is a name that nothing else has.
func word() string { return strings.ToLower(rand.Text()) }

// accesses says who may use each operation.
var accesses = map[string]access{
	"GET /services": {own: everybody, foreign: everybody},

	// Accounts
	"POST /auth/register": {own: "201", foreign: "201", fresh: true,
		body: func(*testing.T, *organization) any { return object{"email": email()} }},
	"POST /auth/login":                           {own: "401", foreign: "401", body: says(object{})},
	"POST /auth/links":                           {own: "401 401 201 201 201 201 201", foreign: "401 401 201 201 201 201 201"},
	"POST /auth/logout":                          {own: accounts, foreign: accounts, fresh: true},
	"GET /auth/me":                               {own: accounts, foreign: accounts},
	"GET /auth/api-key":                          {own: accounts, foreign: accounts},
	"POST /auth/api-key/regenerate":              {own: accounts, foreign: accounts},
	"GET /auth/keys":                             {own: accounts, foreign: accounts},
	"POST /auth/keys":                            {own: "401 401 201 201 201 201 201", foreign: "401 401 201 201 201 201 201", body: says(object{"name": "x"})},
	"DELETE /auth/keys/{keyId}":                  {own: accounts, foreign: nothingThere},
	"POST /auth/keys/{keyId}/regenerate":         {own: accounts, foreign: nothingThere},
	"GET /auth/sessions":                         {own: accounts, foreign: accounts},
	"DELETE /auth/sessions":                      {own: accounts, foreign: accounts},
	"DELETE /auth/sessions/{sessionId}":          {own: accounts, foreign: nothingThere},
	"GET /auth/grants":                           {own: accounts, foreign: accounts},
	"DELETE /auth/grants/{grantId}":              {own: nothingThere, foreign: nothingThere},
	"GET /audit":                                 {own: platform, foreign: platform},
	"GET /audit/export":                          {own: platform, foreign: platform},
	"GET /accounts":                              {own: platform, foreign: platform},
	"GET /accounts/{accountId}":                  {own: platform, foreign: platform},
	"PUT /accounts/{accountId}":                  {own: platform, foreign: platform, body: says(object{"admin": false})},
	"GET /configuration":                         {own: platform, foreign: platform},
	"GET /users/profile":                         {own: accounts, foreign: accounts},
	"PUT /users/profile":                         {own: accounts, foreign: accounts, body: says(object{"name": "x"})},
	"GET /users/credits":                         {own: accounts, foreign: accounts},
	"GET /users/subscription":                    {own: accounts, foreign: accounts},
	"PUT /users/subscription":                    {own: refusedAll, foreign: refusedAll, body: says(object{"tier": "Enterprise"})},
	"POST /users/email":                          {own: accounts, foreign: accounts, fresh: true, passwords: true, body: func(*testing.T, *organization) any { return object{"email": email(), "password": "correct horse"} }},
	"PUT /users/password":                        {own: accounts, foreign: accounts, fresh: true, passwords: true, body: says(object{"currentPassword": "correct horse", "newPassword": "correct horse"})},
	"GET /users/export":                          {own: accounts, foreign: accounts},
	"DELETE /users/account":                      {own: "401 401 200 200 200 409 200", foreign: "401 401 200 200 200 409 200", fresh: true, passwords: true, body: says(object{"password": "correct horse"})},
	"POST /auth/email/verify":                    {own: "401 401 500 500 500 500 500", foreign: "401 401 500 500 500 500 500"}, // no mail is configured
	"POST /auth/email/confirm":                   {own: "400", foreign: "400", body: says(object{"token": "lnk_x"})},
	"POST /auth/password/forgot":                 {own: "500", foreign: "500", body: says(object{"email": "nobody@example.com"})},
	"POST /auth/password/reset":                  {own: "400", foreign: "400", body: says(object{"token": "lnk_x", "password": "correct horse"})},
	"GET /auth/oauth-config":                     {own: everybody, foreign: everybody},
	"GET /auth/identities":                       {own: accounts, foreign: accounts},
	"DELETE /auth/identities/{identityId}":       {own: nothingThere, foreign: nothingThere},
	"POST /auth/identities/{identityId}/refresh": {own: nothingThere, foreign: nothingThere},
	"GET /auth/google":                           {own: "500", foreign: "500"}, // not configured
	"GET /auth/google/callback":                  {own: "302", foreign: "302"},
	"GET /auth/outlook":                          {own: "500", foreign: "500"},
	"GET /auth/outlook/callback":                 {own: "302", foreign: "302"},
	"GET /auth/icloud":                           {own: "500", foreign: "500"},
	"GET /auth/icloud/callback":                  {own: "302", foreign: "302"},
	"POST /auth/icloud/callback":                 {own: "401", foreign: "401"},
	"GET /auth/oidc":                             {own: "500", foreign: "500"},
	"GET /auth/oidc/callback":                    {own: "302", foreign: "302"},

	// Programs that are let in: who asks for it shows what OAuth has for that
	"GET /.well-known/oauth-protected-resource":                          {own: everybody, foreign: everybody},
	"GET /.well-known/oauth-protected-resource/mcp":                      {own: everybody, foreign: everybody},
	"GET /.well-known/oauth-protected-resource/mcp/{kind}/{part}":        {own: everybody, foreign: everybody},
	"GET /.well-known/oauth-protected-resource/mcp/search":               {own: everybody, foreign: everybody},
	"GET /.well-known/oauth-protected-resource/mcp/{kind}/{part}/search": {own: everybody, foreign: everybody},
	"GET /.well-known/oauth-authorization-server":                        {own: everybody, foreign: everybody},
	"GET /oauth/authorize":                                               {own: "400", foreign: "400"}, // it names no program
	"POST /oauth/sign-in":                                                {own: "403", foreign: "403"}, // no page was shown
	"POST /oauth/authorize":                                              {own: "403", foreign: "403"},
	"POST /oauth/token":                                                  {own: "400", foreign: "400"}, // no form
	"POST /oauth/revoke":                                                 {own: "400", foreign: "400"},
	"POST /oauth/register":                                               {own: "400", foreign: "400", body: says(object{})},

	// Events: no broker has refused any
	"GET /events/auth":                      {own: platform, foreign: platform},
	"GET /events/auth/counts":               {own: platform, foreign: platform},
	"POST /events/auth/{eventId}/retry":     {own: platformFinds, foreign: platformFinds},
	"GET /events/registry":                  {own: platform, foreign: platform},
	"GET /events/registry/counts":           {own: platform, foreign: platform},
	"POST /events/registry/{eventId}/retry": {own: platformFinds, foreign: platformFinds},
	"GET /events/jobs":                      {own: platform, foreign: platform},
	"GET /events/jobs/counts":               {own: platform, foreign: platform},
	"POST /events/jobs/{eventId}/retry":     {own: platformFinds, foreign: platformFinds},
	"GET /events/billing":                   {own: platform, foreign: platform},
	"GET /events/billing/counts":            {own: platform, foreign: platform},
	"POST /events/billing/{eventId}/retry":  {own: platformFinds, foreign: platformFinds},
	"GET /events/storage":                   {own: platform, foreign: platform},
	"GET /events/storage/counts":            {own: platform, foreign: platform},
	"POST /events/storage/{eventId}/retry":  {own: platformFinds, foreign: platformFinds},

	// Keys of model providers
	"GET /api-keys":                    {own: accounts, foreign: accounts},
	"POST /api-keys":                   {own: admins, foreign: admins, body: says(object{"provider": "openai", "apiKey": "sk-abcdefghijklmnopqrstuvwxyz"})},
	"GET /api-keys/{provider}":         {own: accounts, foreign: accounts},
	"PUT /api-keys/{provider}/default": {own: admins, foreign: admins},
	"DELETE /api-keys/{provider}":      {own: admins, foreign: admins},

	// Organisations: the platform's admin is in none of these
	"GET /organizations":                                                               {own: accounts, foreign: accounts},
	"POST /organizations":                                                              {own: "401 401 201 201 201 201 201", foreign: "401 401 201 201 201 201 201", body: says(object{"name": "x"})},
	"GET /organizations/{organizationId}":                                              {own: "401 401 200 200 200 200 404", foreign: nothingThere},
	"PUT /organizations/{organizationId}":                                              {own: "401 401 403 403 200 200 404", foreign: nothingThere, body: renamed},
	"DELETE /organizations/{organizationId}":                                           {own: "401 401 403 403 403 200 404", foreign: nothingThere, fresh: true},
	"GET /organizations/{organizationId}/members":                                      {own: "401 401 200 200 200 200 404", foreign: nothingThere},
	"PUT /organizations/{organizationId}/members/{accountId}":                          {own: "401 401 403 403 200 200 404", foreign: nothingThere, body: says(object{"role": "viewer"})},
	"DELETE /organizations/{organizationId}/members/{accountId}":                       {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"GET /organizations/{organizationId}/invitations":                                  {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"POST /organizations/{organizationId}/invitations":                                 {own: "401 401 403 403 201 201 404", foreign: nothingThere, body: func(*testing.T, *organization) any { return object{"email": email(), "role": "member"} }},
	"DELETE /organizations/{organizationId}/invitations/{invitationId}":                {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"GET /organizations/{organizationId}/service-accounts":                             {own: "401 401 200 200 200 200 404", foreign: nothingThere},
	"POST /organizations/{organizationId}/service-accounts":                            {own: "401 401 403 403 201 201 404", foreign: nothingThere, body: says(object{"name": "x", "role": "member"})},
	"DELETE /organizations/{organizationId}/service-accounts/{accountId}":              {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"GET /organizations/{organizationId}/service-accounts/{accountId}/keys":            {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"POST /organizations/{organizationId}/service-accounts/{accountId}/keys":           {own: "401 401 403 403 201 201 404", foreign: nothingThere, body: says(object{"name": "x"})},
	"DELETE /organizations/{organizationId}/service-accounts/{accountId}/keys/{keyId}": {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"GET /organizations/{organizationId}/audit":                                        {own: "401 401 403 403 200 200 404", foreign: nothingThere},
	"POST /invitations/accept":                                                         {own: "401 401 400 400 400 400 400", foreign: "401 401 400 400 400 400 400", body: says(object{"invitation": "inv_x"})},
	"GET /invitations":                                                                 {own: platform, foreign: platform},
	"POST /invitations":                                                                {own: "401 401 403 403 403 403 201", foreign: "401 401 403 403 403 403 201", body: func(*testing.T, *organization) any { return object{"email": email()} }},
	"DELETE /invitations/{invitationId}":                                               {own: platform, foreign: platform},

	// Tools are shown to everybody, and approved ones called by all accounts
	"GET /tools":          {own: everybody, foreign: everybody},
	"GET /tools/{toolId}": {own: "200 404 200 200 200 200 200", foreign: "200 404 200 200 200 200 200"}, // a guest has none
	"GET /tools/my/tools": {own: accounts, foreign: accounts},
	"POST /tools": {own: "401 401 403 201 201 201 201", foreign: "401 401 403 201 201 201 201", body: func(_ *testing.T, o *organization) any {
		return object{"name": "x", "gateway_url": o.tools.URL + "/mcp"}
	}},
	"PUT /tools/{toolId}":          {own: members, foreign: "401 401 403 400 400 400 400", body: renamed},
	"DELETE /tools/{toolId}":       {own: members, foreign: "401 401 403 400 400 400 400"},
	"GET /tools/review":            {own: platform, foreign: platform},
	"GET /tools/{toolId}/versions": {own: accounts, foreign: "401 401 404 404 404 404 200"}, // and the platform's admins all
	"GET /tools/{toolId}/history":  {own: accounts, foreign: "401 401 404 404 404 404 200"},
	"GET /tools/{toolId}/diff":     {own: accounts, foreign: "401 401 404 404 404 404 200"},
	"POST /tools/{toolId}/inspect": {own: members, foreign: "401 401 403 404 404 404 200"},
	"POST /tools/{toolId}/approve": {own: platform, foreign: platform},
	"POST /tools/{toolId}/reject":  {own: "401 401 403 403 403 403 409", foreign: "401 401 403 403 403 403 409", body: says(object{"reason": "x"})}, // nothing waits
	"POST /tools/{toolId}/disable": {own: platform, foreign: platform},
	"POST /tools/import": {own: "401 401 403 200 200 200 200", foreign: "401 401 403 200 200 200 200", body: says(object{"format": "server.json", "document": object{
		"name": "com.example/x", "version": "1", "remotes": []object{{"type": "sse", "url": "https://x.example.com/sse"}}}})},
	"GET /v0.1/servers": {own: everybody, foreign: everybody},
	"GET /v0.1/servers/{namespace}/{server}/versions":           {own: "200 404 200 200 200 200 200", foreign: "200 404 200 200 200 200 200"},
	"GET /v0.1/servers/{namespace}/{server}/versions/{version}": {own: "200 404 200 200 200 200 200", foreign: "200 404 200 200 200 200 200"},
	"POST /proxy/{toolId}/call":                                 {own: members, foreign: members, body: says(object{"method": "echo", "params": object{"text": "x"}})},
	"GET /proxy/{toolId}/tools":                                 {own: accounts, foreign: accounts},
	"GET /proxy/calls":                                          {own: accounts, foreign: accounts},
	"GET /proxy/calls/statistics":                               {own: accounts, foreign: accounts},
	// Made by the owner, whose calls admins see; the platform's see all
	"GET /proxy/calls/{callId}": {own: "401 401 404 404 200 200 200", foreign: "401 401 404 404 404 404 200"},

	// MCP: one server of all tools, of one, or of a profile's
	"POST /mcp":               {own: members, foreign: members, body: says(mcpPing)},
	"GET /mcp":                {own: notAStream, foreign: notAStream},
	"DELETE /mcp":             {own: noSession, foreign: noSession},
	"POST /mcp/t/{toolId}":    {own: "401 401 403 200 200 200 200", foreign: "401 401 403 200 200 200 200", body: says(mcpPing)},
	"GET /mcp/t/{toolId}":     {own: notAStream, foreign: notAStream},
	"DELETE /mcp/t/{toolId}":  {own: noSession, foreign: noSession},
	"POST /mcp/p/{profile}":   {own: members, foreign: noSession, body: says(mcpPing)},
	"GET /mcp/p/{profile}":    {own: notAStream, foreign: nothingThere},
	"DELETE /mcp/p/{profile}": {own: noSession, foreign: noSession},

	"POST /mcp/search":               {own: members, foreign: members, body: says(mcpPing)},
	"GET /mcp/search":                {own: notAStream, foreign: notAStream},
	"DELETE /mcp/search":             {own: noSession, foreign: noSession},
	"POST /mcp/p/{profile}/search":   {own: members, foreign: noSession, body: says(mcpPing)},
	"GET /mcp/p/{profile}/search":    {own: notAStream, foreign: nothingThere},
	"DELETE /mcp/p/{profile}/search": {own: noSession, foreign: noSession},
	"GET /profiles":                  {own: accounts, foreign: accounts},
	"POST /profiles": {own: "401 401 403 201 201 201 201", foreign: "401 401 403 201 201 201 201", // of tools that everybody may call
		body: func(t *testing.T, o *organization) any {
			return object{"name": word(), "tools": []object{{"tool": o.at("owner").newTool(t, 0)}}}
		}},
	"GET /profiles/{profile}": {own: accounts, foreign: nothingThere},
	"PUT /profiles/{profile}": {own: members, foreign: noSession,
		body: func(t *testing.T, o *organization) any {
			return object{"name": word(), "tools": []object{{"tool": o.at("owner").newTool(t, 0)}}}
		}},
	"DELETE /profiles/{profile}": {own: members, foreign: noSession},

	// What calls to tools carry: for all of a tool's callers, its own organisation decides
	"GET /tools/{toolId}/secrets":           {own: accounts, foreign: accounts},
	"GET /tools/{toolId}/secrets/{name}":    {own: nothingThere, foreign: nothingThere},
	"PUT /tools/{toolId}/secrets/{name}":    {own: members, foreign: refusedAll, body: says(object{"value": "x", "scope": "tool"})},
	"DELETE /tools/{toolId}/secrets/{name}": {own: members, foreign: refusedAll, query: ofTool},
	"POST /tools/{toolId}/authorize":        {own: "401 401 403 409 409 409 409", foreign: refusedAll, body: says(object{"scope": "tool"})}, // it takes no consent
	"GET /tools/{toolId}/authorization":     {own: nothingThere, foreign: nothingThere},
	"DELETE /tools/{toolId}/authorization":  {own: members, foreign: refusedAll, query: ofTool},
	"GET /tools/oauth/callback":             {own: "302", foreign: "302"},
	"GET /tools/oauth/client.json":          {own: everybody, foreign: everybody},
	"POST /tools/oauth/finish":              {own: "401 401 400 400 400 400 400", foreign: "401 401 400 400 400 400 400", body: says(object{"state": "x", "code": "x"})}, // nobody began it

	// Jobs: guests have their own
	"POST /jobs": {own: "201 201 403 201 201 201 201", foreign: "201 201 403 201 201 201 201", body: func(t *testing.T, o *organization) any {
		return workflow(step("a", o.at("owner").newTool(t, 0), "echo", object{"text": "x"}))
	}},
	"POST /jobs/batch": {own: "201 201 403 201 201 201 201", foreign: "201 201 403 201 201 201 201", body: func(t *testing.T, o *organization) any {
		body := workflow(step("a", o.at("owner").newTool(t, 0), "echo", object{"text": "x"}))
		body["jobs"] = []object{{}}
		return body
	}},
	"GET /jobs/waiting":                          {own: everybody, foreign: everybody},
	"GET /jobs/dead":                             {own: everybody, foreign: everybody},
	"GET /jobs/statistics":                       {own: everybody, foreign: everybody},
	"POST /jobs/dead/redrive":                    {own: "400 400 403 400 400 400 400", foreign: "400 400 403 400 400 400 400", body: says(object{"job_ids": []string{nobodysID}})},
	"POST /jobs/{jobId}/retry":                   {own: "403 409 403 409 409 409 409", foreign: "403"},
	"GET /jobs/{jobId}/events":                   {own: "403 200 200 200 200 200 200", foreign: "403"},
	"POST /jobs/{jobId}/steps/{stepId}/decision": {own: "403 404 403 404 404 404 404", foreign: "403", body: says(object{"decision": "skip"})},
	"GET /jobs":                                  {own: everybody, foreign: everybody},
	"GET /jobs/{jobId}":                          {own: "403 200 200 200 200 200 200", foreign: "403"},
	"GET /jobs/{jobId}/steps":                    {own: "403 200 200 200 200 200 200", foreign: "403"},
	"GET /jobs/{jobId}/callback":                 {own: "403 404 404 404 404 404 404", foreign: "403"}, // nobody is told of it
	"GET /jobs/callback-secret":                  {own: admins, foreign: admins},
	"POST /jobs/{jobId}/cancel":                  {own: "403 200 403 200 200 200 200", foreign: "403"},

	// Saved workflows: the organisation's own
	"GET /workflows": {own: accounts, foreign: accounts},
	"POST /workflows": {own: "401 401 403 201 201 201 201", foreign: "401 401 403 201 201 201 201", body: func(t *testing.T, o *organization) any {
		body := workflow(step("a", o.at("owner").newTool(t, 0), "echo", object{"text": "x"}))
		body["name"] = email()
		return body
	}},
	"GET /workflows/templates":                       {own: accounts, foreign: accounts},
	"POST /workflows/check":                          {own: everybody, foreign: everybody, body: says(object{"workflow_definition": object{}})},
	"GET /workflows/{workflowId}":                    {own: accounts, foreign: nothingThere},
	"PUT /workflows/{workflowId}":                    {own: members, foreign: "401 401 403 404 404 404 404", body: says(object{"description": "x"})},
	"DELETE /workflows/{workflowId}":                 {own: members, foreign: "401 401 403 404 404 404 404"},
	"GET /workflows/{workflowId}/versions":           {own: accounts, foreign: nothingThere},
	"GET /workflows/{workflowId}/versions/{version}": {own: accounts, foreign: nothingThere},

	// Schedules: likewise
	"GET /schedules": {own: accounts, foreign: accounts},
	"POST /schedules": {own: "401 401 403 201 201 201 201", foreign: "401 401 403 201 201 201 201", body: func(t *testing.T, o *organization) any {
		body := workflow(step("a", o.at("owner").newTool(t, 0), "echo", object{"text": "x"}))
		body["cron"] = "@yearly"
		return body
	}},
	"GET /schedules/{scheduleId}":      {own: accounts, foreign: nothingThere},
	"PUT /schedules/{scheduleId}":      {own: members, foreign: "401 401 403 404 404 404 404", body: says(object{"enabled": false})},
	"DELETE /schedules/{scheduleId}":   {own: members, foreign: "401 401 403 404 404 404 404"},
	"GET /schedules/{scheduleId}/runs": {own: accounts, foreign: nothingThere},
	"POST /schedules/{scheduleId}/run": {own: "401 401 403 201 201 201 201", foreign: "401 401 403 404 404 404 404"},

	// Credits
	"GET /credits/balance":      {own: accounts, foreign: accounts},
	"GET /credits/history":      {own: accounts, foreign: accounts},
	"GET /credits/usage":        {own: accounts, foreign: accounts},
	"GET /credits/usage.csv":    {own: accounts, foreign: accounts},
	"POST /credits/grant":       {own: platformFails, foreign: platformFails, body: says(object{"amount": 1})}, // why, and to whom?
	"POST /credits/deduct":      {own: platform, foreign: platform, body: says(object{"amount": 1})},
	"POST /credits/refund":      {own: platformFails, foreign: platformFails, body: says(object{})},
	"GET /billing/subscription": {own: accounts, foreign: accounts},
	"GET /billing/plans":        {own: everybody, foreign: everybody},
	"PUT /billing/tier":         {own: platformFails, foreign: platformFails, body: says(object{"tier": "Free"})},
	// Without Stripe there is nothing to be bought.
	"GET /billing/packs":                {own: "401 401 503 503 503 503 503", foreign: "401 401 503 503 503 503 503"},
	"POST /billing/checkout":            {own: unconfigured, foreign: unconfigured, body: says(object{"pack": "starter"})},
	"POST /billing/subscribe":           {own: unconfigured, foreign: unconfigured, body: says(object{"tier": "Pro"})},
	"POST /billing/subscription/cancel": {own: unconfigured, foreign: unconfigured},
	"POST /billing/portal":              {own: unconfigured, foreign: unconfigured},
	"POST /billing/webhook/stripe":      {own: "503", foreign: "503", body: says(object{})},
	"GET /receipts/{receiptId}":         {own: "401 401 404 404 200 200 200", foreign: nothingThere},
	"GET /receipts/key":                 {own: everybody, foreign: everybody},
	"GET /ledger":                       {own: platform, foreign: platform},
	"POST /ledger/verify":               {own: platform, foreign: platform},
	"GET /billing/caps":                 {own: accounts, foreign: accounts},
	"PUT /billing/caps":                 {own: "401 401 403 403 200 200 400", foreign: "401 401 403 403 400 400 400", body: aCap},
	"DELETE /billing/caps":              {own: "401 401 403 403 200 200 400", foreign: "401 401 403 403 400 400 400", query: theCap},
	"POST /credits/transfer": {own: "401 401 403 200 200 200 400", foreign: "401 401 403 400 400 400 400", body: func(_ *testing.T, o *organization) any {
		return object{"organizationId": o.id, "amount": 1, "operationId": uuid.NewString()}
	}},

	// Files
	"POST /storage/upload":                            {own: "401 401 403 200 200 200 200", foreign: "401 401 403 200 200 200 200", body: says(object{"filename": "x", "contentType": "text/plain", "data": "eA=="})},
	"GET /storage/files":                              {own: accounts, foreign: accounts},
	"GET /storage/files/{fileId}":                     {own: accounts, foreign: nothingThere},
	"PUT /storage/files/{fileId}":                     {own: members, foreign: "401 401 403 404 404 404 404", body: says(object{"filename": "another name"})},
	"DELETE /storage/files/{fileId}":                  {own: members, foreign: "401 401 403 404 404 404 404"},
	"GET /storage/files/{fileId}/url":                 {own: accounts, foreign: nothingThere},
	"GET /storage/usage":                              {own: accounts, foreign: accounts},
	"GET /storage/presigned-url":                      {own: members, foreign: members, query: aFile},
	"GET /uploads/{fileId}":                           {own: "401 404 200 200 200 200 200", foreign: "401 404 404 404 404 404 404"},
	"HEAD /uploads/{fileId}":                          {own: "401 404 200 200 200 200 200", foreign: "401 404 404 404 404 404 404"},
	"POST /chat/upload":                               {own: "400 400 403 400 400 400 400", foreign: "400 400 403 400 400 400 400"}, // no files
	"POST /chat/transcribe":                           {own: "400 400 403 400 400 400 400", foreign: "400 400 403 400 400 400 400"}, // no recording
	"POST /chat/speech":                               {own: "400 400 403 400 400 400 400", foreign: "400 400 403 400 400 400 400"}, // no text
	"GET /chat/options":                               {own: everybody, foreign: everybody},
	"POST /chat":                                      {own: "200 200 403 200 200 200 200", foreign: "200 200 403 200 200 200 200", body: says(object{"message": "hello"})}, // nobody has a key
	"POST /chat/stream":                               {own: "200 200 403 200 200 200 200", foreign: "200 200 403 200 200 200 200", body: says(object{"message": "hello"})},
	"POST /documents/search":                          {own: everybody, foreign: everybody, body: says(object{"query": "words"})},
	"GET /documents/{fileId}":                         {own: "404 404 200 200 200 200 200", foreign: "404"},
	"GET /documents/{fileId}/text":                    {own: "404 404 200 200 200 200 200", foreign: "404"},
	"GET /documents/{fileId}/passages":                {own: "404 404 200 200 200 200 200", foreign: "404"},
	"GET /documents/{fileId}/events":                  {own: "404 404 200 200 200 200 200", foreign: "404"},
	"POST /documents/{fileId}/read":                   {own: "404 404 403 200 200 200 200", foreign: "404 404 403 404 404 404 404"},
	"GET /chat/conversations":                         {own: everybody, foreign: everybody},
	"GET /chat/conversations/{conversationId}":        {own: "404", foreign: "404"},
	"PUT /chat/conversations/{conversationId}":        {own: "404 404 403 404 404 404 404", foreign: "404 404 403 404 404 404 404", body: says(object{"title": "x"})},
	"DELETE /chat/conversations/{conversationId}":     {own: "404 404 403 404 404 404 404", foreign: "404 404 403 404 404 404 404"},
	"GET /chat/conversations/{conversationId}/export": {own: "404", foreign: "404"},
	"PUT /uploads/{fileId}":                           {own: "403", foreign: "403"}, // only by a signed URL
}

// renamed keeps the canary, so that a leak after it shows.
func renamed(_ *testing.T, o *organization) any { return object{"name": o.canary} }

func ofTool(*testing.T, *organization) string { return "?scope=tool" }

func aFile(*testing.T, *organization) string { return "?filename=x" }

func aCap(_ *testing.T, o *organization) any {
	return object{"scope": "organization", "subjectId": o.id, "period": "day", "amount": 1_000_000}
}

// theCap is there to be removed.
func theCap(t *testing.T, o *organization) string {
	t.Helper()
	set := o.clients["owner"].With("X-Organization", o.id).Do(t, http.MethodPut, "/billing/caps", aCap(t, o))
	require.Equal(t, http.StatusOK, set.Status, set)
	return "?scope=organization&period=day&subjectId=" + o.id
}
