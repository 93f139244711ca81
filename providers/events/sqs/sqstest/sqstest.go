// Package sqstest is a queue that speaks as much of SQS's JSON protocol as is
// needed to publish; no server of it can be had that runs here.
package sqstest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Queue is one queue at URL, under any name; one that ends in .fifo drops what it
// has had.
type Queue struct {
	URL string

	mu     sync.Mutex
	down   bool
	fail   map[string]bool // groups of which the next message fails, once
	bodies [][]byte
	seen   map[string]bool
}

// New starts a Queue that ends with its test.
func New(t testing.TB) *Queue {
	q := &Queue{seen: map[string]bool{}, fail: map[string]bool{}}
	server := httptest.NewServer(q)
	t.Cleanup(server.Close)
	q.URL = server.URL
	return q
}

// Down lets it hang up on everybody, or no more.
func (q *Queue) Down(down bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.down = down
}

// FailOnce lets the next message of a group fail on the queue's side, alone.
func (q *Queue) FailOnce(group string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail[group] = true
}

// Received is what readers would get, in order.
func (q *Queue) Received() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bodies
}

type entry struct {
	ID    string `json:"Id"`
	Body  string `json:"MessageBody"`
	Group string `json:"MessageGroupId"`
	Dedup string `json:"MessageDeduplicationId"`
}

type failure struct {
	ID          string `json:"Id"`
	Code        string
	SenderFault bool
}

// most is the size that SQS takes, of a message and of all that a request has.
const most = 1 << 20

// ServeHTTP answers as SQS does.
func (q *Queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.down {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if !strings.Contains(r.Header.Get("Authorization"), "/sqs/aws4_request") {
		refuse(w, "InvalidClientTokenId")
		return
	}
	if r.Header.Get("X-Amz-Target") == "AmazonSQS.GetQueueAttributes" {
		_, _ = w.Write([]byte(`{"Attributes":{"QueueArn":"arn:aws:sqs:eu-west-1:000000000000:events"}}`))
		return
	}
	var in struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []entry
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessageBatch" || len(in.Entries) == 0 || len(in.Entries) > 10 {
		refuse(w, "InvalidAction")
		return
	}
	size := 0
	for _, e := range in.Entries {
		size += len(e.Body)
	}
	if size > most {
		refuse(w, "BatchRequestTooLong")
		return
	}
	fifo := strings.HasSuffix(in.QueueURL, ".fifo")
	done, failed := []map[string]string{}, []failure{}
	for _, e := range in.Entries {
		switch {
		case fifo && (e.Group == "" || e.Dedup == ""):
			failed = append(failed, failure{e.ID, "MissingParameter", true})
			continue
		case q.fail[e.Group]:
			delete(q.fail, e.Group)
			failed = append(failed, failure{e.ID, "InternalError", false})
			continue
		case !fifo || !q.seen[e.Dedup]:
			q.seen[e.Dedup] = true
			q.bodies = append(q.bodies, []byte(e.Body))
		}
		done = append(done, map[string]string{"Id": e.ID, "MessageId": e.ID})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Successful": done, "Failed": failed})
}

func refuse(w http.ResponseWriter, code string) {
	w.Header().Set("X-Amzn-Query-Error", code+";Sender")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": code})
}
