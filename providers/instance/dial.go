package instance

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// ErrOther says that whoever answers does not run on the data directory.
var ErrOther = errors.New("the server does not run on this data directory")

const (
	patience = 3 * time.Second // for a proof
	longest  = 4096            // bytes of it
)

// Dialer connects to the server of a data directory and to nobody else: every
// connection is proved before anything else goes over it. secure is for a server
// that speaks TLS; nil for one that does not.
func Dialer(dataDir string, secure *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if secure != nil {
			wrapped := tls.Client(conn, secure)
			if err := wrapped.HandshakeContext(ctx); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			conn = wrapped
		}
		until, _ := ctx.Deadline()
		if conn.SetDeadline(until) != nil || !proved(conn, dataDir) || conn.SetDeadline(time.Time{}) != nil {
			return nil, errors.Join(ErrOther, conn.Close())
		}
		return conn, nil
	}
}

// proved asks over the connection itself, and reads the answer to its end.
func proved(conn net.Conn, dataDir string) bool {
	nonce, address := rand.Text(), conn.RemoteAddr().String()
	request, err := http.NewRequest(http.MethodGet, "http://"+address+Path+"?nonce="+nonce, http.NoBody)
	if err != nil || request.Write(conn) != nil {
		return false
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, longest)), request)
	if err != nil {
		return false
	}
	text, err := io.ReadAll(response.Body)
	if response.Body.Close() != nil || err != nil || response.StatusCode != http.StatusOK {
		return false
	}
	// A server that was never asked before has made the secret just now.
	secret, err := os.ReadFile(filepath.Join(dataDir, "secrets", "instance"))
	var said struct{ Data answer }
	return err == nil && json.Unmarshal(text, &said) == nil && hmac.Equal([]byte(said.Data.Proof), []byte(proof(string(secret), nonce, address)))
}
