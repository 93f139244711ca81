// Package bridge carries MCP between a client that speaks over standard input and output
// and UAOL's endpoint over HTTP, in both eras of the protocol.
//
// Messages pass as the bytes that they are, since what a tool wrote is not to be written
// anew; the SDK's transports would decode and encode each, drop what they do not know, and
// end the whole connection because of one message or one answer that they do not
// understand. What the bridge knows of a message is what HTTP's headers have to say of it,
// and whether it may be sent again.
package bridge
