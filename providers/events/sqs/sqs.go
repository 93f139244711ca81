// Package sqs publishes events to a queue of Amazon SQS. It only publishes: a
// message of a queue has one reader, so processes would take each other's.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"uaol/providers/amazon"
	"uaol/providers/events"
)

// Broker is an events.Broker.
type Broker struct {
	queue  string
	fifo   bool
	client *sqs.Client
}

const (
	inBatch  = 10      // messages a request, and
	mostSize = 1 << 20 // bytes, as SQS has it; some queues take less
	atOnce   = 8       // requests
	exchange = 10 * time.Second
)

// New makes a Broker, which asks nobody before it is used. A queue whose URL ends in
// .fifo keeps the order of each key and drops what it has had; another does neither.
func New(ctx context.Context, account amazon.Account, region, queue, endpoint string) (*Broker, error) {
	switch {
	case region != "":
		account.Region = region
	case account.Region == "": // https://sqs.<region>.amazonaws.com/…
		if words := strings.Split(queue, "."); len(words) > 3 && strings.HasSuffix(words[0], "://sqs") {
			account.Region = words[1]
		}
	}
	found, err := account.Load(ctx, exchange)
	if err != nil {
		return nil, err
	}
	return &Broker{queue: queue, fifo: strings.HasSuffix(queue, ".fifo"), client: sqs.NewFromConfig(found, func(o *sqs.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})}, nil
}

// Check implements events.Broker.
func (b *Broker) Check(ctx context.Context) error {
	_, err := b.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &b.queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
	if err != nil {
		return said(err)
	}
	return nil
}

// Publish implements events.Broker. A queue that keeps no order is sent all at once.
func (b *Broker) Publish(ctx context.Context, messages []events.Message) []error {
	if !b.fifo {
		return b.round(ctx, messages)
	}
	return events.InRounds(messages, func(round []events.Message) []error { return b.round(ctx, round) })
}

// round sends messages in requests of ten, some requests at once.
func (b *Broker) round(ctx context.Context, messages []events.Message) []error {
	outcomes := make([]error, len(messages))
	room := make(chan struct{}, atOnce)
	var sending sync.WaitGroup
	for start := 0; start < len(messages); {
		end, size := start, 0
		for end < len(messages) && end-start < inBatch && (end == start || size+len(messages[end].Body) < mostSize*9/10) {
			size += len(messages[end].Body)
			end++
		}
		from := start
		start = end
		room <- struct{}{}
		sending.Go(func() {
			defer func() { <-room }()
			copy(outcomes[from:end], b.send(ctx, messages[from:end]))
		})
	}
	sending.Wait()
	return outcomes
}

func (b *Broker) send(ctx context.Context, messages []events.Message) []error {
	entries := make([]types.SendMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(m.Body)),
			MessageAttributes: map[string]types.MessageAttributeValue{
				"type": {DataType: aws.String("String"), StringValue: aws.String(m.Type)},
				"id":   {DataType: aws.String("String"), StringValue: aws.String(m.ID.String())},
			},
		}
		if b.fifo {
			entries[i].MessageGroupId, entries[i].MessageDeduplicationId = aws.String(m.Key), aws.String(m.ID.String())
		}
	}
	answer, err := b.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &b.queue, Entries: entries})
	if err != nil {
		if len(messages) > 1 && wrong(err) { // one of them, most likely: alone each says so itself
			var outcomes []error
			for i := range messages {
				outcomes = append(outcomes, b.send(ctx, messages[i:i+1])...)
			}
			return outcomes
		}
		return slices.Repeat([]error{judge(err)}, len(messages))
	}
	outcomes := slices.Repeat([]error{errors.New("SQS did not answer for it")}, len(messages))
	for _, done := range answer.Successful {
		if i, err := strconv.Atoi(aws.ToString(done.Id)); err == nil && i >= 0 && i < len(outcomes) {
			outcomes[i] = nil
		}
	}
	for _, failed := range answer.Failed {
		if i, err := strconv.Atoi(aws.ToString(failed.Id)); err == nil && i >= 0 && i < len(outcomes) {
			outcomes[i] = fmt.Errorf("SQS answered %s", aws.ToString(failed.Code))
			if failed.SenderFault && content(aws.ToString(failed.Code)) {
				outcomes[i] = events.Refuse("SQS answered " + aws.ToString(failed.Code))
			}
		}
	}
	return outcomes
}

// content tells codes that are about the message itself, which will be the same the
// next time, from those about who sends it and where to.
func content(code string) bool {
	switch code {
	case "InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong", "MessageTooLong", "AWS.SimpleQueueService.BatchRequestTooLong":
		return true
	}
	return false
}

func wrong(err error) bool {
	var answered smithy.APIError
	return errors.As(err, &answered) && content(answered.ErrorCode())
}

func judge(err error) error {
	if wrong(err) {
		return events.Refuse(amazon.Says(err).Error())
	}
	return said(err)
}

func said(err error) error { return fmt.Errorf("SQS: %w", amazon.Says(err)) }

// Close implements events.Broker.
func (b *Broker) Close() {}
