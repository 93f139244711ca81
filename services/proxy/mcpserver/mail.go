package mcpserver

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"uaol/providers/keyring"
)

// Mail carries letters between requests that belong together and may have come to
// different processes: a client's answer to the call that asked for it, a cancellation
// to the call that is under way. Within a process a letter goes from hand to hand; else
// it lies in the database, sealed, until whoever waits for it looks.
type Mail struct {
	letters letterbox
	ring    *keyring.Ring
	log     *zap.Logger

	mu      sync.Mutex
	waiting map[string]chan []byte
	looking bool
	closed  bool
	stop    chan struct{}
	work    sync.WaitGroup
}

// letterbox is where letters lie.
type letterbox interface {
	put(ctx context.Context, address string, sealed []byte) error
	lying(ctx context.Context, addresses []string) ([]letter, error)
}

// letter is one that lies in the database.
type letter struct {
	Address string `db:"address"`
	Body    []byte `db:"body"`
}

const (
	lookEvery = 200 * time.Millisecond // for letters from other processes
	letterFor = 15 * time.Minute       // that a letter lies; no call takes longer
)

// NewMail makes a Mail, which must be closed.
func NewMail(letters letterbox, ring *keyring.Ring, log *zap.Logger) *Mail {
	return &Mail{letters: letters, ring: ring, log: log, waiting: map[string]chan []byte{}, stop: make(chan struct{})}
}

// Close ends the looking; nobody may wait any more.
func (m *Mail) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	close(m.stop)
	m.work.Wait()
}

// await gives the channel on which one letter to an address comes. leave must be
// called.
func (m *Mail) await(address string) (from <-chan []byte, leave func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to := make(chan []byte, 1)
	m.waiting[address] = to
	if !m.looking && !m.closed {
		m.looking = true
		m.work.Go(m.look)
	}
	return to, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.waiting[address] == to {
			delete(m.waiting, address)
		}
	}
}

// post delivers a letter, wherever somebody waits for it or will.
func (m *Mail) post(ctx context.Context, address string, body []byte) error {
	if m.hand(address, body) {
		return nil
	}
	return m.letters.put(ctx, address, m.ring.Seal(body, "mcp letter/"+address))
}

// keep delivers a letter that may be asked for again: it lies there besides.
func (m *Mail) keep(ctx context.Context, address string, body []byte) error {
	err := m.letters.put(ctx, address, m.ring.Seal(body, "mcp letter/"+address))
	if err == nil {
		m.hand(address, body)
	}
	return err
}

// lies gives the letter that lies at an address, if there is one.
func (m *Mail) lies(ctx context.Context, address string) (body []byte, found bool, err error) {
	letters, err := m.letters.lying(ctx, []string{address})
	if err != nil || len(letters) == 0 {
		return nil, false, err
	}
	body, err = m.ring.Open(letters[0].Body, "mcp letter/"+address)
	return body, err == nil, err
}

// hand gives a letter to somebody who waits in this process.
func (m *Mail) hand(address string, body []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	to, ok := m.waiting[address]
	if ok {
		delete(m.waiting, address)
		to <- body
	}
	return ok
}

// look fetches letters for as long as somebody waits for one.
func (m *Mail) look() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-ticker.C:
		}
		m.mu.Lock()
		addresses := make([]string, 0, len(m.waiting))
		for address := range m.waiting {
			addresses = append(addresses, address)
		}
		if m.looking = len(addresses) > 0; !m.looking {
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		m.fetch(addresses)
	}
}

func (m *Mail) fetch(addresses []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := m.letters.lying(ctx, addresses)
	if err != nil {
		m.log.Debug("letters can't be fetched just now", zap.Error(err))
		return
	}
	for _, l := range found {
		body, err := m.ring.Open(l.Body, "mcp letter/"+l.Address)
		if err != nil {
			m.log.Warn("a letter can't be opened", zap.String("address", l.Address), zap.Error(err))
			continue
		}
		m.hand(l.Address, body)
	}
}
