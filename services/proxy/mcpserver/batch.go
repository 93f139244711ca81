package mcpserver

import (
	"bytes"
	"encoding/json"
	"net/http"

	"golang.org/x/sync/errgroup"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
)

// batches is the one version of the protocol whose clients may send several messages in
// one body.
const batches = "2025-03-26"

const batchAtOnce = 8

// isBatch reports whether a body holds several messages of a client that may send them.
func isBatch(r *http.Request, body []byte) bool {
	version := r.Header.Get(versionHeader)
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) && (version == "" || version == batches)
}

// batch answers a body of several messages with all their answers. While they are under
// way nothing can be told or asked. Each counts as a request of its own.
func (h *Handler) batch(to http.ResponseWriter, r *http.Request, count func(more int) error, caller services.Caller, shelf shelf, body []byte) {
	var bodies []json.RawMessage
	whole := newReply(to, r)
	defer whole.close()
	if err := json.Unmarshal(body, &bodies); err != nil || len(bodies) == 0 || len(bodies) > upstream.MostInBatch {
		whole.fail(&upstream.NoBatch)
		return
	}
	if err := count(len(bodies) - 1); err != nil {
		whole.failWith(api.StatusOf(err), faultOf(err, nil))
		return
	}
	answers := make([]collected, len(bodies))
	var work errgroup.Group
	work.SetLimit(batchAtOnce)
	for i, text := range bodies {
		work.Go(func() error {
			part := newReply(&answers[i], r)
			defer part.close()
			part.streams, part.only = false, false
			m, fault := readMessage(text)
			if part.id = m.id; m.method == "initialize" {
				fault = &upstream.NoBatch
			}
			h.serve(r, caller, shelf, part, m, fault)
			return nil
		})
	}
	_ = work.Wait() // none fails
	var all []json.RawMessage
	for i := range answers {
		if text := answers[i].body.Bytes(); len(text) > 0 {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		whole.accept()
		return
	}
	to.Header()["Content-Type"] = jsonType
	_, _ = to.Write(mustJSON(all)) // whoever left does not mind
}

// serve answers one message.
func (h *Handler) serve(r *http.Request, caller services.Caller, shelf shelf, to *reply, m message, fault *upstream.RPCError) {
	q := &request{endpoint: h.endpoint, caller: caller, shelf: shelf, http: r, message: m, reply: to}
	q.find()
	if fault != nil {
		to.fail(fault)
		return
	}
	q.serve(r.Context())
}

// collected keeps one answer.
type collected struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (c *collected) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// Write implements http.ResponseWriter.
func (c *collected) Write(p []byte) (int, error) { return c.body.Write(p) }

// WriteHeader implements http.ResponseWriter. The whole has a status of its own.
func (c *collected) WriteHeader(int) {}
