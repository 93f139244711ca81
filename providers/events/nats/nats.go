// Package nats publishes events to NATS JetStream, and hears what others publish.
package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"uaol/providers/events"
)

// Broker is an events.Broker and an events.Listener.
type Broker struct {
	url, prefix, stream string

	mu     sync.Mutex
	conn   *nats.Conn
	js     jetstream.JetStream
	ensure bool // the stream is there
	closed bool
}

const (
	age        = 7 * 24 * time.Hour // that a stream of ours keeps
	duplicates = 2 * time.Minute    // in which it drops what it has had
	within     = 5 * time.Second    // for an answer
)

// New makes a Broker, which connects when it is first used. Subjects are the prefix
// and the event's type; the stream is called like the prefix's first word.
func New(url, prefix string) *Broker {
	word, _, _ := strings.Cut(prefix, ".")
	return &Broker{url: url, prefix: prefix, stream: strings.ToUpper(word)}
}

// connect gives the connection, which reconnects by itself for ever.
func (b *Broker) connect() (jetstream.JetStream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nats.ErrConnectionClosed
	}
	if b.conn != nil {
		return b.js, nil
	}
	// What can't be sent is not kept here: the outbox keeps it.
	conn, err := nats.Connect(b.url, nats.Name("uaol"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second), nats.ReconnectBufSize(-1), nats.Timeout(within), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, said(err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(within))
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.conn, b.js = conn, js
	return js, nil
}

// ready gives a connection whose server has the stream.
func (b *Broker) ready(ctx context.Context) (jetstream.JetStream, error) {
	js, err := b.connect()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	done := b.ensure
	b.mu.Unlock()
	if done {
		return js, nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if !b.conn.IsConnected() {
		if err := b.conn.FlushWithContext(ctx); err != nil {
			if last := b.conn.LastError(); last != nil {
				err = last
			}
			return nil, said(err)
		}
	}
	if err := b.ensureStream(ctx, js); err != nil {
		return nil, said(err)
	}
	b.mu.Lock()
	b.ensure = true
	b.mu.Unlock()
	return js, nil
}

// ensureStream makes the stream where there is none; an operator's is left as it is.
func (b *Broker) ensureStream(ctx context.Context, js jetstream.JetStream) error {
	subjects := b.prefix + ".>"
	found, err := js.Stream(ctx, b.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: b.stream, Description: "What happens in UAOL", Subjects: []string{subjects},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: jetstream.FileStorage,
			MaxAge: age, Duplicates: duplicates,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was quicker
			return nil
		}
		return err
	}
	if err == nil && !slices.Contains(found.CachedInfo().Config.Subjects, subjects) {
		err = fmt.Errorf("its stream %s has other subjects than %s; set UAOL_EVENTS_TOPIC", b.stream, subjects)
	}
	return err
}

// said is an error without what stands in the URL.
func said(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
		return errors.New("NATS does not answer")
	}
	return fmt.Errorf("NATS: %w", err)
}

// Check implements events.Broker.
func (b *Broker) Check(ctx context.Context) error {
	_, err := b.ready(ctx)
	return err
}

// Publish implements events.Broker.
func (b *Broker) Publish(ctx context.Context, messages []events.Message) []error {
	js, err := b.ready(ctx)
	if err != nil {
		return slices.Repeat([]error{err}, len(messages))
	}
	return events.InRounds(messages, func(round []events.Message) []error { return b.publish(ctx, js, round) })
}

func (b *Broker) publish(ctx context.Context, js jetstream.JetStream, round []events.Message) []error {
	outcomes := make([]error, len(round))
	acks := make([]jetstream.PubAckFuture, len(round))
	for i, m := range round {
		acks[i], outcomes[i] = js.PublishMsgAsync(&nats.Msg{
			Subject: b.prefix + "." + m.Type, Data: m.Body,
			Header: nats.Header{"Content-Type": {events.ContentType}, "Uaol-Key": {m.Key}},
		}, jetstream.WithMsgID(m.ID.String()), jetstream.WithExpectStream(b.stream))
	}
	for i, ack := range acks {
		if outcomes[i] != nil {
			outcomes[i] = b.judge(outcomes[i])
			continue
		}
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			outcomes[i] = b.judge(err)
		case <-ctx.Done():
			outcomes[i] = said(ctx.Err())
		}
	}
	return outcomes
}

func (b *Broker) judge(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return events.Refuse("larger than the NATS server, or its stream, takes")
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, jetstream.ErrStreamNotFound): // somebody has removed it
		b.mu.Lock()
		b.ensure = false
		b.mu.Unlock()
	}
	return said(err)
}

// Listen implements events.Listener, by an ordered consumer: it is nobody's but
// this process's, and gone with it.
func (b *Broker) Listen(ctx context.Context, types []string, f func(events.Event)) error {
	js, err := b.ready(ctx)
	if err != nil {
		return err
	}
	subjects := make([]string, len(types))
	for i, t := range types {
		subjects[i] = b.prefix + "." + t
	}
	consumer, err := js.OrderedConsumer(ctx, b.stream, jetstream.OrderedConsumerConfig{FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverNewPolicy})
	if err != nil {
		return said(err)
	}
	lost := make(chan error, 1)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		if e, err := events.Parse(m.Data()); err == nil {
			f(e)
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, jetstream.ErrStreamNotFound) {
			select {
			case lost <- said(err):
			default:
			}
		}
	}))
	if err != nil {
		return said(err)
	}
	defer func() { consuming.Stop(); <-consuming.Closed() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-lost:
		return err
	case <-consuming.Closed():
		return errors.New("NATS: the consumer has ended")
	}
}

// Close implements events.Broker.
func (b *Broker) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.conn != nil {
		b.conn.Close()
	}
}
