package postgres

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// alive tells whether a connection that lay idle can be used: a server that has gone
// has left its farewell in the socket, or closed it. It only looks, which takes a
// microsecond and no word to the server: a statement that is written to a dead
// connection may have reached the server for all that one can know afterwards.
func alive(_ context.Context, conn *pgx.Conn) (bool, error) {
	inner := conn.PgConn().Conn()
	if secure, ok := inner.(interface{ NetConn() net.Conn }); ok {
		inner = secure.NetConn()
	}
	socket, ok := inner.(syscall.Conn)
	if !ok {
		return true, nil // a test's own
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false, nil
	}
	quiet := false
	// Control, since Read would wait for the library's own reader, which it leaves behind
	// after a slow write.
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
	})
	return err == nil && quiet, nil
}
