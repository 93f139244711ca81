package jobs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a\ufffdb\ufffd", plain("a\x00b\xff"))
	require.Equal(t, strings.Repeat("é", maxMessage)+"…", plain(strings.Repeat("é", maxMessage+1)))
}
