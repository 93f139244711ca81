package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/conformance/suite"
	"uaol/providers/upstream/everything"
	"uaol/services/billing/chain"
	"uaol/services/billing/receipts"
)

// TestServer runs the suite's scenarios for servers through /mcp: on a profile that
// leaves the names of the Go SDK's conformance server as they are, by the way that all
// calls go.
func TestServer(t *testing.T) {
	for _, e := range suite.Editions {
		t.Run(e.Revision, func(t *testing.T) {
			s := get(t, e)
			t.Parallel()
			p := open(t)
			tool := p.tool(t, everything.StartConformance(t, e == suite.Latest))
			profile := p.user.Do(t, http.MethodPost, "/profiles", object{"name": "conformance", "tools": []object{{"tool": tool, "prefix": ""}}})
			require.Equal(t, http.StatusCreated, profile.Status, profile)
			address := p.forward(t) + "/mcp/p/conformance"
			bob := p.of(t, "bob@example.com") // what Ada's calls cost is counted
			tasks := bob.forward(t) + bob.tasks(t, tool)
			each(t, s, "server", nil, func(scenario string) []string {
				if strings.HasPrefix(scenario, "tasks-") {
					return []string{"--url", tasks}
				}
				return []string{"--url", address}
			})
			t.Run("calls went the way that calls go", func(t *testing.T) { p.wentTheUsualWay(t, tool, called[e.Revision]) })
			if e == suite.Latest { // no scenario of the other changes the list
				t.Run("what was not approved is not there", func(t *testing.T) { p.holdsToItsPins(t, address, e) })
			}
		})
	}
}

// called are methods that the scenarios call, and what becomes of such a call.
var called = map[string]map[string]string{
	"2025-11-25": {
		"test_simple_text": "success", "test_image_content": "success", "test_audio_content": "success", "test_embedded_resource": "success",
		"test_multiple_content_types": "success", "test_tool_with_logging": "success", "test_tool_with_progress": "success",
		"test_error_handling": "failed", "test_sampling": "success", "test_elicitation": "success",
		"test_elicitation_sep1034_defaults": "success",
		"test_elicitation_sep1330_enums":    "failed", // the SDK does not take an answer to its own question
		"resources/read":                    "success", "prompts/get": "success", "completion/complete": "success",
	},
	"2026-07-28": {
		"test_simple_text": "success", "test_image_content": "success", "test_audio_content": "success", "test_embedded_resource": "success",
		"test_multiple_content_types": "success", "test_tool_with_progress": "success", "test_error_handling": "failed",
		"test_missing_capability": "failed", "test_logging_tool": "success", "test_trigger_tool_change": "success",
		"test_input_required_result_elicitation": "success", "test_input_required_result_sampling": "success",
		"test_input_required_result_list_roots": "success", "test_input_required_result_request_state": "success",
		"test_input_required_result_multiple_inputs": "success", "test_input_required_result_multi_round": "success",
		"test_input_required_result_tampered_state": "asked", "test_input_required_result_capabilities": "asked",
		"resources/read": "success", "prompts/get": "success", "completion/complete": "success",
	},
}

// record is a call as GET /proxy/calls tells of it.
type record struct {
	ID      string `json:"callId"`
	Account string `json:"accountId"`
	Key     string `json:"keyId"`
	Tool    string `json:"toolId"`
	Version int64  `json:"version"`
	Method  string `json:"method"`
	Outcome string `json:"outcome"`
	Credits int64  `json:"credits"`
}

// wentTheUsualWay compares what was recorded with what was paid: each call is there, is
// the user's with her key, went to the approved version, and cost its price unless it
// failed, was refused or asked for something first.
func (p place) wentTheUsualWay(t *testing.T, tool string, want map[string]string) {
	const price, given = 1, 10_000
	me := p.user.Do(t, http.MethodGet, "/auth/me", nil).Text("data.id")
	var all []record
	var paid int64
	spent := func() int64 {
		left, err := strconv.ParseInt(p.user.Do(t, http.MethodGet, "/credits/balance", nil).Text("data.credits"), 10, 64)
		require.NoError(t, err)
		return given - left
	}
	ends, missing := map[[2]string]bool{}, "" // methods and what became of them
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("not among the calls: ", missing)
		}
	})
	world.Until(t, "what was recorded is what was paid", func() bool { // records come a moment after the calls
		all, paid = p.records(t), 0
		for _, r := range all {
			paid += r.Credits
			ends[[2]string{r.Method, r.Outcome}] = true
		}
		for method, outcome := range want {
			if !ends[[2]string{method, outcome}] {
				missing = method + ": " + outcome
				return false
			}
		}
		missing = "what was paid for"
		return paid == spent()
	})
	charged := ""
	for _, r := range all {
		require.Equal(t, []any{me, tool, int64(1)}, []any{r.Account, r.Tool, r.Version}, r)
		require.NotEmpty(t, r.Key, r)
		cost := int64(0)
		switch r.Method {
		case "resources/read", "prompts/get", "completion/complete": // which cost nothing
		default:
			if r.Outcome == "success" || r.Outcome == "unknown" { // the Go SDK's server cuts one of the calls
				cost, charged = price, r.ID
			}
		}
		require.Equal(t, cost, r.Credits, r)
	}
	t.Logf("%d calls, %d credits", len(all), paid)
	p.hasReceipt(t, charged, price)
}

// records are all calls that the user has made.
func (p place) records(t *testing.T) (all []record) {
	t.Helper()
	for query := "?limit=200"; ; {
		answer := p.user.Do(t, http.MethodGet, "/proxy/calls"+query, nil)
		require.Equal(t, http.StatusOK, answer.Status, answer)
		var page struct {
			Data []record `json:"data"`
			Next string   `json:"nextCursor"`
		}
		require.NoError(t, json.Unmarshal(answer.Body, &page), answer)
		all = append(all, page.Data...)
		if page.Next == "" {
			return all
		}
		query = "?limit=200&cursor=" + url.QueryEscape(page.Next)
	}
}

// hasReceipt reads a call's receipt, once its charge is sealed into the ledger.
func (p place) hasReceipt(t *testing.T, call string, price int64) {
	t.Helper()
	key, err := chain.ParsePublic(p.user.Do(t, http.MethodGet, "/receipts/key", nil).Text("data.publicKey"))
	require.NoError(t, err)
	var receipt receipts.Receipt
	world.Until(t, "the charge is sealed", func() bool {
		answer := p.user.Do(t, http.MethodGet, "/receipts/"+call, nil)
		if answer.Status != http.StatusOK {
			return false
		}
		receipt, err = receipts.Parse(answer.Body)
		require.NoError(t, err)
		return receipt.Sealed && !receipt.Open
	})
	require.NoError(t, receipt.Verify(chain.NewTrusted(key)))
	require.Equal(t, price, receipt.Charged)
}

// holdsToItsPins: the suite has had the server list a method more, which nobody approved.
func (p place) holdsToItsPins(t *testing.T, address string, e suite.Edition) {
	const transient = "__transient_tool_for_list_changed"
	client := world.New(address).With("Accept", "application/json, text/event-stream").With("Mcp-Protocol-Version", e.Revision)
	meta := object{"io.modelcontextprotocol/protocolVersion": e.Revision, "io.modelcontextprotocol/clientCapabilities": object{}}
	list := client.With("Mcp-Method", "tools/list").Do(t, http.MethodPost, "", object{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": object{"_meta": meta}})
	require.Equal(t, http.StatusOK, list.Status, list)
	require.Contains(t, string(list.Body), "test_simple_text")
	require.NotContains(t, string(list.Body), transient)
	call := client.With("Mcp-Method", "tools/call").With("Mcp-Name", transient).Do(t, http.MethodPost, "",
		object{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": object{"name": transient, "arguments": object{}, "_meta": meta}})
	require.Contains(t, call.String(), "Unknown tool: "+transient)
}
