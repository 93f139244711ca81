package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"uaol/services/billing/chain"
)

const (
	publishEvery   = time.Minute
	publishTimeout = 5 * time.Second
)

// Publisher tells the world outside the database which seal is the last: in the
// log, in a file and at a webhook. What could not be told is told with a later
// seal, which covers it.
type Publisher struct {
	cfg    Config
	client *http.Client
	log    *zap.Logger

	waiting *chain.Head
	told    time.Time
}

// NewPublisher makes a Publisher.
func NewPublisher(cfg Config, log *zap.Logger) *Publisher {
	return &Publisher{cfg: cfg, log: log.Named("sealer"), client: &http.Client{
		Timeout:   publishTimeout,
		Transport: &http.Transport{Proxy: cfg.Through(), DisableKeepAlives: true, ForceAttemptHTTP2: true}, // one a minute
	}}
}

// Offer gives a new head, to be published when it is time.
func (p *Publisher) Offer(ctx context.Context, head chain.Head) {
	p.waiting = &head
	p.Due(ctx)
}

// Due publishes what waits if it is time.
func (p *Publisher) Due(ctx context.Context) {
	if time.Since(p.told) >= publishEvery {
		p.Flush(ctx)
	}
}

// Flush publishes what waits.
func (p *Publisher) Flush(ctx context.Context) {
	if p.waiting == nil {
		return
	}
	head := *p.waiting
	p.waiting, p.told = nil, time.Now()
	p.log.Info("ledger sealed", zap.Int64("number", head.Number), zap.Stringer("digest", head.Digest), zap.Time("sealed_at", head.SealedAt))
	text, err := json.Marshal(head)
	if err == nil && p.cfg.File != "" {
		err = appendLine(p.cfg.File, text)
	}
	if err != nil {
		p.log.Error("the ledger's head could not be written down", zap.Error(err))
	}
	if p.cfg.Webhook != "" {
		// Under way, it is not given up because the process ends: nobody would send it later.
		if err := p.post(context.WithoutCancel(ctx), text); err != nil {
			p.log.Error("the ledger's head could not be sent", zap.Error(err))
		}
	}
}

func (p *Publisher) post(ctx context.Context, text []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.Webhook, bytes.NewReader(text))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		var sent *url.Error
		if errors.As(err, &sent) { // it quotes the address, which may hold a secret
			err = sent.Err
		}
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 1<<16) // so that the connection can be used again
	if response.StatusCode >= 300 {
		return fmt.Errorf("the webhook answered with status %d", response.StatusCode)
	}
	return nil
}

// appendLine adds a line to a file and waits until it is on the disk. What a
// crash has left half-written gets a line of its own.
func appendLine(path string, text []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	line := append(bytes.Clone(text), '\n')
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := file.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := file.Write(line); err != nil {
		return err
	}
	return file.Sync()
}

// Heads reads a file of published heads. A line that a crash cut short tells
// nothing.
func Heads(path string) ([]chain.Head, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the heads cannot be read: %w", err)
	}
	var heads []chain.Head
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[len(line)-1] != '}' {
			continue
		}
		var head chain.Head
		if err := json.Unmarshal(line, &head); err != nil {
			return nil, fmt.Errorf("line %d of the heads cannot be read: %w", n, err)
		}
		heads = append(heads, head)
	}
	return heads, nil
}
