package mcpserver

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"uaol/providers/upstream"
)

// instructions are for the models that use the endpoint.
const instructions = "Tools of one UAOL server. A tool's name begins with the name of the server it comes from. " +
	"A call may cost credits: _meta[\\\"uaol/credits\\\"] of a tool says how many, that of a result what was charged."

// capabilities are what the endpoint has.
const capabilities = `{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"prompts":{"listChanged":true},"completions":{},"logging":{}}`

// How long lists may be kept by clients, in milliseconds.
const (
	keepList     = 60_000
	keepGreeting = 3_600_000
)

// notCached is for results that no client keeps.
const notCached = -1

func cacheable(ms int) string {
	if ms == notCached {
		return ""
	}
	return `,"ttlMs":` + strconv.Itoa(ms) + `,"cacheScope":"private"`
}

// initialize begins a session of the older protocols.
func (q *request) initialize(context.Context) {
	var said struct {
		Version      string          `json:"protocolVersion"`
		Capabilities json.RawMessage `json:"capabilities"`
	}
	if q.params.all == nil || json.Unmarshal(q.params.all, &said) != nil || said.Version == "" {
		q.reply.fail(invalidParams("initialize needs protocolVersion, capabilities and clientInfo"))
		return
	}
	version := said.Version
	if !slices.Contains(versions[1:], version) {
		version = newestWithSessions
	}
	can := upstream.CapabilitiesOf(said.Capabilities)
	q.reply.to.Header().Set(sessionHeader, q.endpoint.sessions.begin(q.caller, version, can))
	q.reply.result([]byte(`{"protocolVersion":"` + version + `","capabilities":` + capabilities + `,"serverInfo":` + serverInfo + `,"instructions":"` + instructions + `"}`))
}

// discover says what the endpoint has, to clients of the stateless protocol.
func (q *request) discover(context.Context) {
	extended := capabilities[:len(capabilities)-1] + `,"extensions":{"` + tasksExtension + `":{}}}`
	q.complete(`"supportedVersions":["`+strings.Join(versions, `","`)+`"],"capabilities":`+extended+`,"instructions":"`+instructions+`"`, keepGreeting)
}

// setLevel chooses a session's log messages.
func (q *request) setLevel(ctx context.Context) {
	var said struct {
		Level string `json:"level"`
	}
	_ = json.Unmarshal(q.params.all, &said) // what can't be read names no level
	if _, ok := upstream.LogLevel(said.Level); !ok {
		q.reply.fail(invalidParams("The log level is unknown: " + shortened(said.Level)))
		return
	}
	if !q.ofSession() {
		return
	}
	q.state.Level = said.Level
	if err := q.endpoint.sessions.change(ctx, q.session, q.state); err != nil {
		q.fail(err)
		return
	}
	q.complete("", notCached)
}

// mustJSON writes plain values.
func mustJSON(value any) json.RawMessage {
	text, _ := json.Marshal(value)
	return text
}
