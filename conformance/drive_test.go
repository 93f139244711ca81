package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// errand is what the suite's client command is to do, in the variable errandVariable:
// where UAOL is, and who uses it.
type errand struct {
	Gateway  string `json:"gateway"`
	Admin    string `json:"admin"` // as the header Authorization has it
	User     string `json:"user"`
	Revision string `json:"revision"`
}

const errandVariable = "UAOL_TEST_CONFORMANCE_ERRAND"

// hints are what a scenario tells its client besides the address.
type hints struct {
	ClientID  string `json:"client_id"`
	Secret    string `json:"client_secret"`
	ToolCalls []struct {
		Name      string         `json:"name"`
		Arguments map[string]any `json:"arguments"`
	} `json:"toolCalls"`
}

// drive is what the suite starts as a client: it has UAOL do what the scenario asks of
// one, with the suite's server as a tool.
func drive(scenario, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second) // the suite waits for 30
	defer cancel()
	d := &driver{}
	if err := json.Unmarshal([]byte(os.Getenv(errandVariable)), &d.errand); err != nil {
		return fmt.Errorf("%s: %w", errandVariable, err)
	}
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &d.hints); err != nil {
			return fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
		}
	}
	if err := d.register(ctx, scenario, address); err != nil {
		return err
	}
	return d.play(ctx, scenario)
}

// driver uses UAOL for one scenario.
type driver struct {
	errand
	hints
	tool string
}

// register makes the suite's server a tool that the user may call.
func (d *driver) register(ctx context.Context, scenario, address string) error {
	body := object{"name": scenario, "gateway_url": address, "credit_cost_per_call": 1, "visibility": "private"}
	authorized := strings.HasPrefix(scenario, "auth/")
	alone := scenario == "auth/client-credentials-basic" // nobody consents
	if authorized {
		oauth := object{"grant": "authorization_code"}
		switch {
		case alone:
			oauth = object{"grant": "client_credentials", "client_id": d.ClientID}
		case d.ClientID != "":
			oauth["client_id"] = d.ClientID
		case scenario == "auth/basic-cimd": // UAOL has a document of its own only where it has an address that others reach
			oauth["client_id"] = "https://conformance-test.local/client-metadata.json"
		}
		body["oauth"] = oauth
	}
	var made struct {
		ID string `json:"tool_id"`
	}
	if err := d.do(ctx, d.User, http.MethodPost, "/tools", body, &made); err != nil {
		return err
	}
	d.tool = made.ID
	if err := d.keepSecret(ctx); err != nil {
		return err
	}
	if authorized && !alone {
		if err := d.consent(ctx, nil); err != nil {
			return err
		}
	}
	approve := func(how object) error {
		return d.do(ctx, d.Admin, http.MethodPost, "/tools/"+d.tool+"/approve", how, nil)
	}
	err := d.consenting(ctx, func() error { return approve(object{}) })
	if scenario == "json-schema-ref-no-deref" && err != nil {
		// UAOL pins no method whose schema is somewhere else. What it says can be done then:
		return approve(object{"unpinned": true})
	}
	return err
}

// play does with the tool what the scenario is about.
func (d *driver) play(ctx context.Context, scenario string) error {
	answers := &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}} // none but what handlers bring
	switch scenario {
	case "elicitation-sep1034-client-defaults":
		answers.ElicitationHandler = accepting(object{})
	case "sep-2322-client-request-state":
		answers.ElicitationHandler = accepting(object{"confirmed": true})
	}
	session, err := d.connect(ctx, answers)
	if err != nil {
		return err
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	call := func(name string, arguments object) error {
		_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
		return err
	}
	switch scenario {
	case "initialize", "request-metadata":
		return nil
	case "tools_call":
		return call("add_numbers", object{"a": 5, "b": 3})
	case "elicitation-sep1034-client-defaults":
		return call("test_client_elicitation_defaults", object{})
	case "sse-retry":
		return call("test_reconnection", object{})
	case "json-schema-ref-no-deref":
		_ = call("lookup_user", object{"id": "ada"}) // the server has no such call; what counts is what it is not asked for
		return nil
	case "json-schema-2020-12-preservation":
		for _, tool := range list.Tools {
			if tool.Name == "json_schema_2020_12_tool" {
				return call("json_schema_echo", object{"schema": tool.InputSchema})
			}
		}
		return errors.New("the tool with the schema is not listed")
	case "sep-2322-client-request-state":
		var all error
		for _, name := range []string{"test_mrtr_echo_state", "test_mrtr_no_state", "test_mrtr_unrelated", "test_mrtr_no_result_type"} {
			all = errors.Join(all, call(name, object{}))
		}
		return all
	case "http-standard-headers":
		return everyVerb(ctx, session, list.Tools[0].Name)
	case "http-custom-headers":
		for _, wanted := range d.ToolCalls {
			// The second call has null for a boolean. UAOL refuses arguments that a
			// method's schema does not take, and so has none for it.
			for name, value := range wanted.Arguments {
				if value == nil {
					delete(wanted.Arguments, name)
				}
			}
			if err := call(wanted.Name, wanted.Arguments); err != nil {
				return err
			}
		}
		return nil
	case "http-invalid-tool-headers":
		for _, tool := range list.Tools {
			if err := call(tool.Name, object{"region": "us-west1"}); err != nil {
				return err
			}
		}
		return nil
	}
	if strings.HasPrefix(scenario, "auth/") {
		return d.consenting(ctx, func() error { return call("test-tool", object{}) })
	}
	return fmt.Errorf("nobody knows what to do in the scenario %s", scenario)
}

// everyVerb asks for something of each kind.
func everyVerb(ctx context.Context, session *mcp.ClientSession, method string) error {
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: method, Arguments: object{}}); err != nil {
		return err
	}
	resources, err := session.ListResources(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: resources.Resources[0].URI}); err != nil {
		return err
	}
	prompts, err := session.ListPrompts(ctx, nil)
	if err != nil {
		return err
	}
	_, err = session.GetPrompt(ctx, &mcp.GetPromptParams{Name: prompts.Prompts[0].Name})
	return err
}

// accepting answers what is asked of the user.
func accepting(content object) func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
	return func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
		return &mcp.ElicitResult{Action: "accept", Content: content}, nil
	}
}

// connect opens a session with UAOL in the scenario's revision, for the one tool.
func (d *driver) connect(ctx context.Context, answers *mcp.ClientOptions) (*mcp.ClientSession, error) {
	transport := &mcp.StreamableClientTransport{
		Endpoint: d.Gateway + "/mcp/t/" + d.tool, HTTPClient: &http.Client{Transport: as(d.User)}, DisableStandaloneSSE: true,
	}
	options := &mcp.ClientSessionOptions{ProtocolVersion: d.Revision}
	return mcp.NewClient(&mcp.Implementation{Name: "somebody", Version: "1"}, answers).Connect(ctx, transport, options)
}

// as adds somebody's credentials to requests.
type as string

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", string(a))
	return http.DefaultTransport.RoundTrip(r)
}

// refusal is an error of UAOL's.
type refusal struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Details struct {
		Authorize bool     `json:"authorize"`
		Scopes    []string `json:"scopes"`
	} `json:"details"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Message) }

// do sends a request to UAOL as somebody; into takes the answer's data.
func (d *driver) do(ctx context.Context, who, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, d.Gateway+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", who)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var said struct {
		Data  json.RawMessage `json:"data"`
		Error *refusal        `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return fmt.Errorf("%s %s: %d: %w", method, path, response.StatusCode, err)
	}
	if said.Error != nil {
		said.Error.Status = response.StatusCode
		return fmt.Errorf("%s %s: %w", method, path, said.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said.Data, into)
}

// mostConsents that somebody gives for one thing.
const mostConsents = 2

// consenting does something and, if UAOL wants a consent at the tool's authorization
// server first, gives that and does it again.
func (d *driver) consenting(ctx context.Context, something func() error) error {
	for given := 0; ; given++ {
		err := something()
		refused := refusalOf(err)
		if err == nil || given == mostConsents || !refused.Details.Authorize {
			return err
		}
		if err := d.consent(ctx, refused.Details.Scopes); err != nil {
			return err
		}
	}
}

// refusalOf is what UAOL says, over REST or MCP; empty for errors of others.
func refusalOf(err error) (r refusal) {
	var refused *refusal
	var said *jsonrpc.Error
	switch {
	case errors.As(err, &refused):
		return *refused
	case errors.As(err, &said):
		_ = json.Unmarshal(said.Data, &r) // a tool's own says nothing of that
	}
	return r
}

// keepSecret gives UAOL the client's secret, where the scenario has one.
func (d *driver) keepSecret(ctx context.Context) error {
	if d.Secret == "" {
		return nil
	}
	return d.do(ctx, d.User, http.MethodPut, "/tools/"+d.tool+"/secrets/oauth_client_secret", object{"value": d.Secret, "scope": "tool"}, nil)
}

// consent goes where UAOL sends people who consent, and comes back with what they are
// given there: the suite's authorization servers ask nobody.
func (d *driver) consent(ctx context.Context, scopes []string) error {
	begin := object{"scope": "tool"} // for the admin too, who approves it
	if len(scopes) > 0 {
		begin["scopes"] = scopes
	}
	var begun struct {
		Page string `json:"authorizeUrl"`
	}
	if err := d.do(ctx, d.User, http.MethodPost, "/tools/"+d.tool+"/authorize", begin, &begun); err != nil {
		return err
	}
	back, err := follow(ctx, begun.Page) // to UAOL under the name that it has by default
	if err != nil {
		return err
	}
	front, err := follow(ctx, d.Gateway+back.RequestURI())
	if err != nil {
		return err
	}
	said := front.Query()
	finish := object{"state": said.Get("state"), "code": said.Get("code"), "error": said.Get("error"), "iss": said.Get("iss")}
	return d.do(ctx, d.User, http.MethodPost, "/tools/oauth/finish", finish, nil)
}

// follow asks for a page and gives the address that it sends the browser to.
func follow(ctx context.Context, page string) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	to, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%s answered %d: %w", request.URL.Redacted(), response.StatusCode, err)
	}
	return to, nil
}
