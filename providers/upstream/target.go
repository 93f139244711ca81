package upstream

import (
	"net/http"

	"github.com/google/uuid"
)

// Target is a registered tool as far as a call needs it.
type Target struct {
	ToolID     uuid.UUID
	URL        string
	Protocol   string
	Version    int64       // of the registration, for the log; a session outlives it unless the URL or protocol changes
	Allow      []string    // host:port that an admin opened for this tool alone
	Command    *Command    // of a stdio tool
	Operations []Operation // of a REST tool that an OpenAPI document describes
	Headers    http.Header // that calls carry, such as credentials; never logged
	Env        []string    // NAME=value for a stdio tool's process, such as credentials; never logged
	Identity   string      // tells whose credentials these are: sessions are shared by equal ones only
}

// Command is how the server of a stdio tool is started, without a shell.
type Command struct {
	Path string   `json:"path" doc:"the program, found in PATH"`
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty" doc:"names of variables of our own environment that it gets besides PATH, HOME, LANG and TMPDIR; our secrets are never among them"`
	Dir  string   `json:"dir,omitempty" doc:"its working directory; default: an empty one"`
}

// Operation is a method that an OpenAPI document describes.
type Operation struct {
	Method
	Verb   string            `json:"verb"`             // GET, POST …
	Path   string            `json:"path"`             // below the tool's address, with {name} for parameters
	In     map[string]string `json:"in,omitempty"`     // where arguments go: path, query, header or cookie
	Body   string            `json:"body,omitempty"`   // the argument that is the request's body; "*" for all that In does not name
	Accept string            `json:"accept,omitempty"` // of the answer; default application/json
}
