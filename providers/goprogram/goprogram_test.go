package goprogram

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for pkg, name := range map[string]string{
		"github.com/nats-io/nats-server/v2":    "nats-server",
		"github.com/versity/versitygw/cmd/vgw": "vgw",
		"example.com/v2ray":                    "v2ray",
	} {
		require.Equal(t, name, nameOf(pkg))
	}
}
