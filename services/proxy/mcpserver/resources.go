package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/yosida95/uritemplate/v3"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy"
)

// codeNoResource is what the older protocols say of a resource that is not there; the
// stateless one forbids it.
const codeNoResource = -32002

// readResource reads a resource, by way of the proxy.
func (q *request) readResource(ctx context.Context) {
	if q.params.uri == "" {
		q.reply.fail(invalidParams("resources/read needs the uri of a resource"))
		return
	}
	tool, own, err := q.endpoint.locate(ctx, q.caller, q.shelf, q.params.uri)
	if err != nil {
		q.noResource(err)
		return
	}
	q.laid = tool
	q.exchange(ctx, proxy.Exchange{
		CallRequest: proxy.CallRequest{Caller: q.caller, ToolID: tool.ToolID, Params: with(q.params.plain, "uri", mustJSON(own))},
		Request:     "resources/read", Subject: own, MaxCost: q.params.meta.maxCredits,
	})
}

func (q *request) noResource(err error) {
	fault := faultOf(err, nil)
	if services.Is(err, services.NotFound) && !q.modern {
		fault.Code = codeNoResource
	}
	fault.Data = with(orObject(fault.Data), "uri", mustJSON(q.params.uri))
	q.reply.fail(fault)
}

func orObject(data json.RawMessage) json.RawMessage {
	if len(data) > 0 && data[0] == '{' {
		return data
	}
	return json.RawMessage("{}")
}

// locate finds the tool that has a resource, and what it calls it.
func (e *Endpoint) locate(ctx context.Context, caller services.Caller, shelf shelf, uri string) (laid, string, error) {
	missing := services.Errorf(services.NotFound, "Resource not found: %.300s", uri)
	tools, err := shelf.offers(ctx, caller)
	if err != nil {
		return laid{}, "", err
	}
	var bare []laid
	for _, tool := range tools {
		if tool.areWorkflows() { // which have none
			continue
		}
		if tool.prefix == "" {
			bare = append(bare, tool)
		} else if own, ok := strings.CutPrefix(uri, addressed(tool.prefix)); ok {
			return tool, own, nil
		}
	}
	if len(bare) == 1 {
		return bare[0], uri, nil
	}
	for _, kind := range []listKind{resources, templates} {
		for _, found := range e.entries.all(ctx, caller, bare, kind) {
			if found.own == uri || kind.key == "uriTemplate" && matches(found.own, uri) {
				return found.tool, uri, nil
			}
		}
	}
	return laid{}, "", missing
}

func matches(template, uri string) bool {
	t, err := uritemplate.New(template)
	return err == nil && t.Regexp().MatchString(uri)
}

// getPrompt gets a prompt, by way of the proxy.
func (q *request) getPrompt(ctx context.Context) {
	tool, own, err := q.prompt(ctx, q.params.name)
	if err != nil {
		q.fail(err)
		return
	}
	q.laid = tool
	q.exchange(ctx, proxy.Exchange{
		CallRequest: proxy.CallRequest{Caller: q.caller, ToolID: tool.ToolID, Params: with(q.params.plain, "name", mustJSON(own))},
		Request:     "prompts/get", Subject: own, MaxCost: q.params.meta.maxCredits,
	})
}

// prompt finds the tool that has a prompt, and what it calls it. Only those are asked
// whose prompts may be called that.
func (q *request) prompt(ctx context.Context, name string) (laid, string, error) {
	tools, err := q.shelf.offers(ctx, q.caller)
	if err != nil {
		return laid{}, "", err
	}
	tools = slices.DeleteFunc(tools, func(t laid) bool { return !t.mayCall(name) })
	for _, e := range q.endpoint.entries.all(ctx, q.caller, tools, prompts) {
		if e.name == name {
			return e.tool, e.own, nil
		}
	}
	return laid{}, "", services.Errorf(services.NotFound, "Unknown prompt: %.200s", name)
}

// completeArgument asks the tool behind a prompt or a template what an argument may be.
func (q *request) completeArgument(ctx context.Context) {
	var said struct {
		Ref struct {
			Type string `json:"type"`
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"ref"`
	}
	if json.Unmarshal(q.params.all, &said) != nil {
		q.reply.fail(invalidParams("completion/complete needs a ref"))
		return
	}
	var (
		tool laid
		own  string
		err  error
		ref  json.RawMessage
	)
	switch said.Ref.Type {
	case "ref/prompt":
		tool, own, err = q.prompt(ctx, said.Ref.Name)
		ref = mustJSON(map[string]string{"type": said.Ref.Type, "name": own})
	case "ref/resource":
		tool, own, err = q.endpoint.locate(ctx, q.caller, q.shelf, said.Ref.URI)
		ref = mustJSON(map[string]string{"type": said.Ref.Type, "uri": own})
	default:
		err = services.Errorf(services.Invalid, "ref must be a prompt or a resource")
	}
	if err != nil {
		q.fail(err)
		return
	}
	q.laid = tool
	q.exchange(ctx, proxy.Exchange{
		CallRequest: proxy.CallRequest{Caller: q.caller, ToolID: tool.ToolID, Params: with(q.params.plain, "ref", ref)},
		Request:     "completion/complete", MaxCost: q.params.meta.maxCredits,
	})
}

// readdressed is a result whose resources have the addresses that they have on the shelf.
func (l laid) readdressed(result json.RawMessage) json.RawMessage {
	if l.prefix == "" || !bytes.Contains(result, []byte(`"uri"`)) {
		return result
	}
	whole := make([]byte, 0, len(result)+64)
	whole = append(whole, '{')
	upstream.Members(result, func(key, value []byte) {
		if len(whole) > 1 {
			whole = append(whole, ',')
		}
		whole = append(append(append(append(whole, '"'), key...), '"', ':'), l.readdress(string(key), value)...)
	})
	return append(whole, '}')
}

// readdress rewrites a member that may hold resources: the contents of one that is read,
// the content of a method's result, the messages of a prompt.
func (l laid) readdress(name string, value json.RawMessage) json.RawMessage {
	switch name {
	case "contents":
		return each(value, l.moved)
	case "content":
		if len(value) > 0 && value[0] == '{' {
			return l.block(value)
		}
		return each(value, l.block)
	case "messages":
		return each(value, func(message json.RawMessage) json.RawMessage {
			var content json.RawMessage
			upstream.Members(message, func(key, value []byte) {
				if string(key) == "content" {
					content = value
				}
			})
			if len(content) == 0 || !bytes.Contains(content, []byte(`"uri"`)) {
				return message
			}
			return with(message, "content", l.readdress("content", content))
		})
	}
	return value
}

// block is a block of content: a link to a resource has its address itself, an embedded
// one in its resource.
func (l laid) block(block json.RawMessage) json.RawMessage {
	switch memberText(block, "type") {
	case "resource_link":
		return l.moved(block)
	case "resource":
		var inner json.RawMessage
		upstream.Members(block, func(key, value []byte) {
			if string(key) == "resource" {
				inner = value
			}
		})
		if len(inner) > 0 && inner[0] == '{' {
			return with(block, "resource", l.moved(inner))
		}
	}
	return block
}

func (l laid) moved(object json.RawMessage) json.RawMessage {
	uri := memberText(object, "uri")
	if uri == "" {
		return object
	}
	return with(object, "uri", mustJSON(l.address(uri)))
}

// each rewrites the elements of a list.
func each(list json.RawMessage, rewrite func(json.RawMessage) json.RawMessage) json.RawMessage {
	whole := []byte{'['}
	if !upstream.Elements(list, func(value []byte) {
		if len(whole) > 1 {
			whole = append(whole, ',')
		}
		whole = append(whole, rewrite(value)...)
	}) {
		return list
	}
	return append(whole, ']')
}

// inEra is a tool's own error in the words of its client's era.
func inEra(fault *upstream.RPCError, modern bool) *upstream.RPCError {
	if modern && fault.Code == codeNoResource {
		with := *fault
		with.Code = jsonrpc.CodeInvalidParams
		return &with
	}
	return fault
}
