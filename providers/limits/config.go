package limits

import (
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"uaol/providers/config"
)

// Config is how much a caller may ask, and where that is counted.
type Config struct {
	config.Process
	PerMinute  int    `env:"RATE_LIMIT_PER_MINUTE" envDefault:"100" want:"a whole number of requests, 1 or more" doc:"requests an account may make in a minute; its plan's rate instead, if that is more"`
	PerAddress int    `env:"UAOL_ADDRESS_RATE_LIMIT" want:"a whole number of requests, or nothing for as many as RATE_LIMIT_PER_MINUTE" doc:"requests an address may make in a minute without credentials or with wrong ones, together; default: RATE_LIMIT_PER_MINUTE"`
	Replicas   int    `env:"UAOL_REPLICAS" envDefault:"1" want:"a whole number of replicas, 1 or more" doc:"processes that share the load and, without REDIS_URL or while it is away, the limits: each lets that part of them through"`
	RedisURL   string `env:"REDIS_URL" secret:"true" want:"a URL such as redis://host:6379/0" doc:"Redis in which limits are counted across replicas, and through which they hear at once what is revoked; without it each process counts its share (UAOL_REPLICAS), and hears of it within 3 s"`
	Cluster    string `env:"REDIS_CLUSTER_MODE" envDefault:"false" want:"true or false" doc:"whether that Redis is a cluster"`
}

const redisWanted = "a URL such as redis://host:6379/0"

// Check refuses limits that would refuse everybody.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if c.PerMinute < 1 {
		return &config.Fault{Variable: "RATE_LIMIT_PER_MINUTE", Value: strconv.Itoa(c.PerMinute), Want: "a whole number of requests, 1 or more"}
	}
	if c.PerAddress < 0 {
		return &config.Fault{Variable: "UAOL_ADDRESS_RATE_LIMIT", Value: strconv.Itoa(c.PerAddress), Want: "a whole number of requests, or nothing for as many as RATE_LIMIT_PER_MINUTE"}
	}
	if c.Replicas < 0 || c.Replicas > 10_000 {
		return &config.Fault{Variable: "UAOL_REPLICAS", Value: strconv.Itoa(c.Replicas), Want: "a whole number of replicas, 1 or more"}
	}
	if !slices.Contains([]string{"", "true", "false"}, c.Cluster) {
		return &config.Fault{Variable: "REDIS_CLUSTER_MODE", Value: c.Cluster, Want: "true or false"}
	}
	if c.RedisURL == "" {
		return nil
	}
	if _, err := redis.ParseURL(c.RedisURL); err != nil {
		return &config.Fault{Variable: "REDIS_URL", Value: c.RedisURL, Secret: true, Want: redisWanted}
	}
	return nil
}

// Client makes a client that connects when it is first asked. It tries once: who
// is limited does not wait for a Redis that is away.
func (c *Config) Client() (redis.UniversalClient, error) {
	if c.Cluster == "true" {
		options, err := redis.ParseClusterURL(c.RedisURL)
		if err != nil {
			return nil, err
		}
		options.MaxRetries, options.DialerRetries, options.DialTimeout, options.ContextTimeoutEnabled = -1, 1, time.Second, true
		options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		return redis.NewClusterClient(options), nil
	}
	options, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		return nil, err
	}
	options.MaxRetries, options.DialerRetries, options.DialTimeout, options.ContextTimeoutEnabled = -1, 1, time.Second, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}
