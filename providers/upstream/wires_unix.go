//go:build unix

package upstream

import (
	"errors"
	"net"
	"syscall"
)

func rawOf(conn net.Conn) syscall.RawConn {
	known, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := known.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// stands reports whether a connection that is idle is open and silent. Who
// closed it, or spoke without being asked, has nothing more to say.
func (c *wire) stands() bool {
	silent := false
	err := c.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, err := syscall.Read(int(fd), one[:])
		silent = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && silent
}
