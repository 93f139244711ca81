package library

import "sync"

// Bell wakes whoever waits for news of documents in this process; of other processes'
// they learn by looking.
type Bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// NewBell makes a Bell.
func NewBell() *Bell { return &Bell{rung: make(chan struct{})} }

// Ring wakes all who wait.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}

// wait gives what is closed when the bell rings next.
func (b *Bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}
