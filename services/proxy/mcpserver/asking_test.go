package mcpserver

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestOpenQuestionsAreBound: one account keeps so many places of tools at most.
func TestOpenQuestionsAreBound(t *testing.T) {
	t.Parallel()
	asking, ada, bob := newAsking(), services.Caller{Account: uuid.New()}, services.Caller{Account: uuid.New()}
	var ends []func()
	for range mostOpen {
		done, err := asking.begin(ada)
		require.NoError(t, err)
		ends = append(ends, done)
	}
	_, err := asking.begin(ada)
	require.True(t, services.Is(err, services.Limited), err)
	_, err = asking.begin(bob)
	require.NoError(t, err)
	ends[0]()
	done, err := asking.begin(ada)
	require.NoError(t, err)
	for _, end := range append(ends[1:], done) {
		end()
	}
	require.Len(t, asking.open, 1, "nothing is kept of who has no question open")
}
