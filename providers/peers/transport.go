package peers

import "net/http"

// Transport is how other processes of ours are reached, with the certificates that are
// set for that: for who looks at them from outside.
func (t *Tokens) Transport() http.RoundTripper { return t.network.transport }
