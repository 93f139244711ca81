package jobs

import (
	"context"
	"testing"

	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// tContext is for what outlives a single test's context.
var tContext = context.Background()
