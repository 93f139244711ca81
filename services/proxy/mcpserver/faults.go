package mcpserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy"
)

// faultData is what programs are told of an error of ours.
type faultData struct {
	Code    string `json:"code"` // the REST interface's
	Details any    `json:"details,omitempty"`
}

// faultOf puts a failure into JSON-RPC. What a tool said itself passes as it is; errors
// of ours that MCP has no code for have the status that the REST interface answers
// with, outside of what JSON-RPC reserves.
func faultOf(err error, call *proxy.Call) *upstream.RPCError {
	if call != nil && call.Said != nil {
		return call.Said
	}
	fault := &upstream.RPCError{Message: api.MessageOf(err)}
	data := faultData{Code: api.CodeOf(err)}
	if e, ok := services.AsError(err); ok {
		data.Details = e.Details
	}
	switch kind := services.KindOf(err); {
	case services.IsCode(err, proxy.CodeHeaderMismatch):
		fault.Code = mcp.CodeHeaderMismatch
	case kind == services.Invalid, kind == services.NotFound:
		fault.Code = jsonrpc.CodeInvalidParams
	case kind == services.Internal:
		fault.Code = jsonrpc.CodeInternalError
	default:
		fault.Code = int64(api.StatusOf(err))
	}
	fault.Data, _ = json.Marshal(data) // what was made for JSON can be written
	return fault
}

// statusOf is the HTTP status that goes with an error: MCP names it for some.
func statusOf(fault *upstream.RPCError, modern bool) int {
	switch fault.Code {
	case jsonrpc.CodeParseError, jsonrpc.CodeInvalidRequest:
		return http.StatusBadRequest
	}
	if !modern {
		return http.StatusOK
	}
	switch fault.Code {
	case mcp.CodeHeaderMismatch, mcp.CodeMissingRequiredClientCapabilities, mcp.CodeUnsupportedProtocolVersion:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// asResult is what models are told of arguments that a method does not take: as a
// result, so that they can correct themselves. "" for other errors.
func asResult(err error) string {
	e, ok := services.AsError(err)
	if !ok || e.Kind != services.Invalid || e.Code != "" {
		return ""
	}
	faults := faultsIn(e.Details)
	if len(faults) == 0 || !strings.HasPrefix(faults[0].Path, "body.") {
		return ""
	}
	var text strings.Builder
	text.WriteString("The arguments are not what the method takes:")
	for _, f := range faults {
		text.WriteString("\n- " + argumentPaths.Replace(f.Path) + ": " + f.Message)
	}
	return text.String()
}

// argumentPaths are where the REST interface has what are arguments here.
var argumentPaths = strings.NewReplacer("body.params", "arguments", "body.input", "arguments")

// faultsIn reads an error's faults, which another process may have written.
func faultsIn(details any) []services.Fault {
	switch of := details.(type) {
	case []services.Fault:
		return of
	case json.RawMessage:
		var faults []services.Fault
		if json.Unmarshal(of, &faults) == nil {
			return faults
		}
	}
	return nil
}
