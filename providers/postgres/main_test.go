package postgres_test

import (
	"testing"

	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
