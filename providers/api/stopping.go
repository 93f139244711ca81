package api

import "context"

type stoppingKey struct{}

// WithStopping gives requests a context that ends when streams which their clients can
// take up again should end, because the process stops.
func WithStopping(ctx, stopping context.Context) context.Context {
	return context.WithValue(ctx, stoppingKey{}, stopping)
}

// Stopping is that context; without one it never ends.
func Stopping(ctx context.Context) context.Context {
	if stopping, ok := ctx.Value(stoppingKey{}).(context.Context); ok {
		return stopping
	}
	return context.Background()
}
