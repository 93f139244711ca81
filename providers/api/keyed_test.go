package api

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

type keyedInput struct {
	Key string `header:"Idempotency-Key"`
}

type withKey struct {
	keyedInput
	ID string `path:"id"`
}

func declare[I any]() Operation {
	return Post("/x/{id}", "x", func(context.Context, services.Caller, *I) (Message, error) { return Message{}, nil })
}

// TestKeyed: an operation knows whether it reads an Idempotency-Key, also when it is
// passed on; a raw one says so.
func TestKeyed(t *testing.T) {
	t.Parallel()
	require.True(t, declare[keyedInput]().Keyed)
	require.True(t, declare[withKey]().Keyed)
	require.True(t, declare[withKey]().By(nil).Keyed)
	require.False(t, declare[struct{}]().Keyed)
	require.False(t, Raw(http.MethodPost, "/x", "x", nil).Keyed)
	require.True(t, Raw(http.MethodPost, "/x", "x", nil, Keyed()).Keyed)
}
