package bridge

import (
	"bytes"
	"encoding/json"
	"sync"

	"uaol/providers/upstream"
)

// batch is a line of several messages. Each goes its own way, so that one may be given up
// or sent again without the others; their answers are one line again.
type batch struct {
	mu      sync.Mutex
	open    int
	answers [][]byte
}

// isBatch reports whether a line is of several messages, in a session that has them.
func (r *running) isBatch(line []byte) bool {
	return line[0] == '[' && json.Valid(line) && r.session.of(&message{}).version == batches
}

func (r *running) takeAll(line []byte) {
	var parts []json.RawMessage
	if err := json.Unmarshal(line, &parts); err != nil || len(parts) == 0 || len(parts) > upstream.MostInBatch {
		r.write(failure(nil, upstream.NoBatch))
		return
	}
	b := &batch{open: 1} // until all are under way
	for _, part := range parts {
		m, ok := read(part)
		switch {
		case !ok:
			b.add(failure(nil, notJSON))
		case m.method == initialize:
			b.add(failure(m.id, upstream.NoBatch))
		case m.isRequest():
			b.begin()
			r.begin(m, b)
		default:
			r.takeOne(m)
		}
	}
	r.done(b)
}

func (b *batch) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open++
}

func (b *batch) add(answer []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, bytes.Clone(answer))
}

// done is told of each that has ended. What is given up has no answer.
func (r *running) done(b *batch) {
	b.mu.Lock()
	b.open--
	answers := b.answers
	over := b.open == 0 && len(answers) > 0
	b.mu.Unlock()
	if over {
		r.write(append(append([]byte("["), bytes.Join(answers, []byte(","))...), ']'))
	}
}
