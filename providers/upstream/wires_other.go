//go:build !unix

package upstream

import (
	"net"
	"syscall"
)

// Where nobody can look whether a connection stands, none is used again.
func rawOf(net.Conn) syscall.RawConn { return nil }

func (c *wire) stands() bool { return false }
