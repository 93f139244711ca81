package limits

import "context"

// Ping asks the Redis of REDIS_URL whether it is there.
func (c *Config) Ping(ctx context.Context) error {
	quiet()
	client, err := c.Client()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return client.Ping(ctx).Err()
}
