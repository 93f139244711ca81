package upstream

import "github.com/modelcontextprotocol/go-sdk/jsonrpc"

// MostInBatch is how many messages a client of 2025-03-26 may send in one body.
const MostInBatch = 25

// NoBatch is told of a body of several messages that is none.
var NoBatch = RPCError{Code: jsonrpc.CodeInvalidRequest, Message: "A batch holds 1 to 25 messages, and initialize comes alone; send them in several"}
