package blobstest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/amazon"
	"uaol/providers/blobs/s3"
	"uaol/providers/goprogram"
)

const versityVersion = "v1.8.0"

// Versity starts a real S3 server with an empty bucket. It listens on loopback until
// the test ends.
func Versity(t testing.TB) s3.Config {
	t.Helper()
	program := goprogram.Installed(t, "github.com/versity/versitygw/cmd/versitygw", versityVersion)
	cfg := s3.Config{Account: amazon.Account{Region: "us-east-1", Key: "versity", Secret: "a secret of the tests"}, Bucket: "files", Prefix: "uaol/"}
	place := t.TempDir()
	require.NoError(t, os.MkdirAll(place+"/"+cfg.Bucket, 0o700))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	cfg.Endpoint = "http://" + address
	require.NoError(t, cfg.Check())

	server := exec.Command(program, "--port", address, "--access", cfg.Key, "--secret", cfg.Secret, "--quiet", "posix", "--sidecar", t.TempDir(), place)
	var said strings.Builder
	server.Stdout, server.Stderr = &said, &said
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for until := time.Now().Add(30 * time.Second); ; {
		response, err := http.Get(cfg.Endpoint)
		if err == nil {
			_ = response.Body.Close()
			return cfg
		}
		if time.Now().After(until) {
			_ = server.Process.Kill()
			_ = server.Wait()
			t.Fatalf("versitygw does not answer: %v\n%s", err, said.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
