package mcpserver

import (
	"encoding/json"
	"strconv"

	"uaol/providers/upstream"
	"uaol/services/proxy"
)

// serverInfo is how the endpoint introduces itself.
const serverInfo = `{"name":"uaol","title":"UAOL","version":"1"}`

// finished is a tool's result as its client gets it: with what the call has cost, and
// in the stateless protocol with who answers.
func finished(result json.RawMessage, modern bool, kind string, call *proxy.Call) []byte {
	own := make([]byte, 0, 192)
	if modern {
		own = append(append(own, `"`+metaServer+`":`...), serverInfo...)
	}
	if call != nil {
		if len(own) > 0 {
			own = append(own, ',')
		}
		own = append(append(own, `"`+metaCredits+`":`...), strconv.FormatInt(call.Credits, 10)...)
		own = append(append(append(own, `,"`+metaCall+`":"`...), call.ID.String()...), '"')
	}
	return spliced(result, modern, kind, own)
}

// spliced is a result with members of ours in its _meta and, in the stateless protocol,
// its kind. What the tool's server says of itself goes: it does not answer the client.
func spliced(result json.RawMessage, modern bool, kind string, own []byte) []byte {
	whole := make([]byte, 0, len(result)+len(own)+64)
	whole = append(whole, '{')
	if modern {
		whole = append(append(append(whole, `"resultType":"`...), kind...), `",`...)
	}
	var rest json.RawMessage
	upstream.Members(result, func(key, value []byte) {
		if string(key) == "_meta" {
			rest = value
		}
	})
	whole = append(append(whole, `"_meta":{`...), own...)
	upstream.Members(rest, func(key, value []byte) {
		switch string(key) {
		case metaServer, metaCredits, metaCall, metaJob:
			return
		}
		if whole[len(whole)-1] != '{' {
			whole = append(whole, ',')
		}
		whole = append(append(append(append(whole, '"'), key...), '"', ':'), value...)
	})
	whole = append(whole, '}')
	upstream.Members(result, func(key, value []byte) {
		if string(key) == "_meta" || string(key) == "resultType" {
			return
		}
		whole = append(append(append(append(whole, ',', '"'), key...), '"', ':'), value...)
	})
	return append(whole, '}')
}

// has reports whether an object has a member.
func has(object json.RawMessage, name string) (found bool) {
	upstream.Members(object, func(key, _ []byte) { found = found || string(key) == name })
	return found
}

// said is a result that holds a text, as a method's answer.
func said(text string, failed bool) json.RawMessage {
	quoted, _ := json.Marshal(text) // a text
	return json.RawMessage(`{"content":[{"type":"text","text":` + string(quoted) + `}],"isError":` + strconv.FormatBool(failed) + `}`)
}
