// Package kafka publishes events to Kafka, and hears what others publish.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"

	"uaol/providers/events"
)

// Options say which cluster, and who we are there.
type Options struct {
	Brokers []string // host:port
	Topic   string
	TLS     bool
	SASL    sasl.Mechanism // nil for none
}

// Broker is an events.Broker and an events.Listener. The client keeps the order
// within a partition by itself: it is idempotent, and what fails there fails with
// all that is behind.
type Broker struct {
	options []kgo.Opt
	topic   string
	client  *kgo.Client
}

const (
	within = 10 * time.Second
	newest = -1 // replicas and partitions: the cluster's own defaults
)

// New makes a Broker, which connects when it is first used.
func New(o Options) (*Broker, error) {
	shared := []kgo.Opt{kgo.SeedBrokers(o.Brokers...), kgo.ClientID("uaol"), kgo.DialTimeout(within / 2), kgo.RequestTimeoutOverhead(within / 2), kgo.RetryTimeout(within)}
	if o.TLS {
		shared = append(shared, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if o.SASL != nil {
		shared = append(shared, kgo.SASL(o.SASL))
	}
	client, err := kgo.NewClient(append(slices.Clone(shared),
		kgo.DefaultProduceTopic(o.Topic), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0),
		// What takes too long is given back to the outbox, which publishes it again.
		kgo.RecordDeliveryTimeout(within), kgo.AllowIdempotentProduceCancellation())...)
	if err != nil {
		return nil, said(err)
	}
	return &Broker{options: shared, topic: o.Topic, client: client}, nil
}

// Check implements events.Broker.
func (b *Broker) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ask := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &b.topic
	ask.Topics = append(ask.Topics, topic)
	found, err := ask.RequestWith(ctx, b.client)
	if err != nil {
		return said(err)
	}
	for _, t := range found.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return b.create(ctx)
		case err != nil:
			return said(err)
		}
	}
	return nil
}

func (b *Broker) create(ctx context.Context) error {
	ask := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = b.topic, newest, newest
	ask.Topics, ask.TimeoutMillis = append(ask.Topics, topic), int32(within/time.Millisecond)
	made, err := ask.RequestWith(ctx, b.client)
	if err != nil {
		return said(err)
	}
	for _, t := range made.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("Kafka has no topic %s and makes none: %w", b.topic, err)
		}
	}
	return nil
}

// Publish implements events.Broker.
func (b *Broker) Publish(ctx context.Context, messages []events.Message) []error {
	records := make([]*kgo.Record, len(messages))
	places := make(map[*kgo.Record]int, len(messages))
	for i, m := range messages {
		records[i] = &kgo.Record{Key: []byte(m.Key), Value: m.Body, Headers: []kgo.RecordHeader{
			{Key: "content-type", Value: []byte(events.ContentType)}, {Key: "id", Value: []byte(m.ID.String())}, {Key: "type", Value: []byte(m.Type)}}}
		places[records[i]] = i
	}
	outcomes := make([]error, len(messages))
	for _, result := range b.client.ProduceSync(ctx, records...) {
		outcomes[places[result.Record]] = judge(result.Err)
	}
	return outcomes
}

func judge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return events.Refuse("larger than Kafka takes")
	case errors.Is(err, kerr.InvalidRecord):
		return events.Refuse("Kafka calls it invalid")
	}
	return said(err)
}

func said(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrRecordTimeout) {
		return errors.New("Kafka does not answer")
	}
	return fmt.Errorf("Kafka: %w", err)
}

// Listen implements events.Listener. It belongs to no group and notes no position:
// it begins with what comes next.
func (b *Broker) Listen(ctx context.Context, types []string, f func(events.Event)) error {
	client, err := kgo.NewClient(append(slices.Clone(b.options), kgo.ConsumeTopics(b.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.KeepRetryableFetchErrors())...)
	if err != nil {
		return said(err)
	}
	defer client.Close()
	for {
		fetched := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, failed := range fetched.Errors() {
			return said(failed.Err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			if !slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "type" && slices.Contains(types, string(h.Value)) }) {
				return
			}
			if e, err := events.Parse(r.Value); err == nil {
				f(e)
			}
		})
	}
}

// Close implements events.Broker.
func (b *Broker) Close() { b.client.Close() }
