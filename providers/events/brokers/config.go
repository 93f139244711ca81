// Package brokers chooses the broker that events go out to. It alone imports the
// clients of all of them.
package brokers

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"uaol/providers/amazon"
	"uaol/providers/config"
	"uaol/providers/events/kafka"
)

// Config says which broker.
type Config struct {
	config.Process
	amazon.Account
	Type      string `env:"MQ_TYPE" want:"none, nats, kafka or sqs" doc:"where events are published: none (default; they stay in the database, where processes find them), nats (JetStream), kafka or sqs"`
	NATS      string `env:"NATS_URL" secret:"true" want:"a nats:// or tls:// URL; several separated by commas" doc:"NATS servers, with MQ_TYPE=nats (default nats://localhost:4222); tls:// for TLS, user:password@ or token@ before the host"`
	Kafka     string `env:"KAFKA_BROKERS" want:"host:port; several separated by commas, each with tls:// before it or none" doc:"Kafka's brokers, with MQ_TYPE=kafka (default localhost:9092): host:port, separated by commas; tls://host:port for TLS"`
	KafkaUser string `env:"KAFKA_USERNAME" want:"a name, because KAFKA_PASSWORD is set" doc:"who we are in Kafka, by SASL"`
	KafkaPass string `env:"KAFKA_PASSWORD" secret:"true" want:"a password, because KAFKA_USERNAME is set" doc:"the password of KAFKA_USERNAME"`
	KafkaSASL string `env:"KAFKA_SASL" envDefault:"plain" want:"plain, scram-sha-256 or scram-sha-512" doc:"how KAFKA_USERNAME is proved: plain, scram-sha-256 or scram-sha-512"`
	SQSRegion string `env:"SQS_REGION" doc:"region of the queue, if not AWS_REGION"`
	Queue     string `env:"SQS_QUEUE_URL" want:"a queue's URL" doc:"the queue, with MQ_TYPE=sqs; one whose URL ends in .fifo keeps events in order. Needs sqs:SendMessage and sqs:GetQueueAttributes"`
	Endpoint  string `env:"SQS_ENDPOINT" want:"an http or https URL" doc:"where SQS's protocol is spoken, if not by Amazon"`
	Topic     string `env:"UAOL_EVENTS_TOPIC" envDefault:"uaol.events" want:"words of a-z, 0-9, _ and - with dots between" doc:"Kafka's topic, and what subjects in NATS begin with (the stream is called like its first word, UAOL); deployments that share a broker have different ones"`

	idle []string // variables that name a broker which MQ_TYPE does not choose
}

const (
	kindNone  = "none"
	kindNATS  = "nats"
	kindKafka = "kafka"
	kindSQS   = "sqs"
)

// variables are the settings that say where a broker is.
var variables = map[string]string{kindNATS: "NATS_URL", kindKafka: "KAFKA_BROKERS", kindSQS: "SQS_QUEUE_URL"}

// address is what the chosen broker's variable holds.
func (c *Config) address() string {
	return map[string]string{kindNATS: c.NATS, kindKafka: c.Kafka, kindSQS: c.Queue}[c.Type]
}

var topicForm = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// Check judges what the chosen broker needs, and of the others nothing.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if !topicForm.MatchString(c.Topic) || len(c.Topic) > 200 {
		return &config.Fault{Variable: "UAOL_EVENTS_TOPIC", Value: c.Topic, Want: "words of a-z, 0-9, _ and - with dots between"}
	}
	if c.Type = strings.ToLower(c.Type); c.Type == "" {
		c.Type = kindNone
	}
	c.idle = nil
	for _, one := range []struct{ kind, value string }{{kindNATS, c.NATS}, {kindKafka, c.Kafka}, {kindSQS, c.Queue}} {
		if one.value != "" && one.kind != c.Type {
			c.idle = append(c.idle, variables[one.kind])
		}
	}
	switch c.Type {
	case kindNone:
	case kindNATS:
		if c.NATS == "" {
			c.NATS = "nats://localhost:4222"
		}
		for one := range strings.SplitSeq(c.NATS, ",") {
			u, err := url.Parse(strings.TrimSpace(one))
			if err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "" {
				return &config.Fault{Variable: "NATS_URL", Value: c.NATS, Secret: true, Want: "a nats:// or tls:// URL; several separated by commas"}
			}
		}
	case kindKafka:
		return c.checkKafka()
	case kindSQS:
		return c.checkSQS()
	default:
		return &config.Fault{Variable: "MQ_TYPE", Value: c.Type, Want: "none, nats, kafka or sqs"}
	}
	return nil
}

// None reports whether events stay in the database.
func (c *Config) None() bool { return c.Type == kindNone }

func (c *Config) checkKafka() error {
	if c.Kafka == "" {
		c.Kafka = "localhost:9092"
	}
	if _, err := c.kafka(); err != nil {
		return &config.Fault{Variable: "KAFKA_BROKERS", Value: c.Kafka, Want: "host:port; several separated by commas, each with tls:// before it or none"}
	}
	switch {
	case c.KafkaUser == "" && c.KafkaPass != "":
		return &config.Fault{Variable: "KAFKA_USERNAME", Want: "a name, because KAFKA_PASSWORD is set"}
	case c.KafkaUser != "" && c.KafkaPass == "":
		return &config.Fault{Variable: "KAFKA_PASSWORD", Secret: true, Want: "a password, because KAFKA_USERNAME is set"}
	case !slices.Contains([]string{"plain", "scram-sha-256", "scram-sha-512"}, c.KafkaSASL):
		return &config.Fault{Variable: "KAFKA_SASL", Value: c.KafkaSASL, Want: "plain, scram-sha-256 or scram-sha-512"}
	}
	return nil
}

func (c *Config) checkSQS() error {
	for variable, value := range map[string]string{"SQS_QUEUE_URL": c.Queue, "SQS_ENDPOINT": c.Endpoint} {
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
			return &config.Fault{Variable: variable, Value: value, Want: "an http or https URL"}
		}
	}
	return c.CheckKeys()
}

// kafka reads the addresses. Some with TLS and some without are no cluster.
func (c *Config) kafka() (kafka.Options, error) {
	o := kafka.Options{Topic: c.Topic}
	for i, one := range strings.Split(c.Kafka, ",") {
		address, encrypted := strings.CutPrefix(strings.TrimSpace(one), "tls://")
		if i > 0 && encrypted != o.TLS {
			return o, &net.AddrError{Err: "with TLS and without", Addr: address}
		}
		o.TLS = encrypted
		host, _, err := net.SplitHostPort(address)
		if err != nil || host == "" {
			return o, &net.AddrError{Err: "no host:port", Addr: address}
		}
		o.Brokers = append(o.Brokers, address)
	}
	if c.KafkaUser != "" {
		o.SASL = c.mechanism()
	}
	return o, nil
}

func (c *Config) mechanism() sasl.Mechanism {
	who := scram.Auth{User: c.KafkaUser, Pass: c.KafkaPass}
	switch c.KafkaSASL {
	case "scram-sha-256":
		return who.AsSha256Mechanism()
	case "scram-sha-512":
		return who.AsSha512Mechanism()
	}
	return plain.Auth{User: c.KafkaUser, Pass: c.KafkaPass}.AsMechanism()
}
