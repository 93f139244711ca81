package tlsfiles_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/tlsfiles"
	"uaol/providers/tlsfiles/tlsfilestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers who the client is, by its certificate.
func serve(t *testing.T, p *tlsfiles.Pair) (url string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.VerifiedChains) == 0 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Client", r.TLS.VerifiedChains[0][0].Subject.CommonName)
	}))
	server.TLS = p.ServerConfig()
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// ask opens a connection of its own.
func ask(t *testing.T, url string, config *tls.Config) (*http.Response, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err == nil {
		require.NoError(t, response.Body.Close())
	}
	return response, err
}

// open looks at the files at each handshake.
func open(t *testing.T, files tlsfiles.Files) (*tlsfiles.Pair, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	p, err := tlsfiles.Open(files, zap.New(core))
	require.NoError(t, err)
	p.SetPace(0)
	return p, logs
}

func serial(t *testing.T, response *http.Response, err error) string {
	t.Helper()
	require.NoError(t, err)
	return response.TLS.PeerCertificates[0].SerialNumber.String()
}

// TestBothSidesReadAgain: a new certificate counts from the next handshake, for
// listeners and for dialling; so do another authority, and its absence.
func TestBothSidesReadAgain(t *testing.T) {
	t.Parallel()
	ours := tlsfilestest.NewAuthority(t)
	a := ours.Issue(t, t.TempDir(), "a")
	b := ours.Issue(t, t.TempDir(), "b")
	server, logs := open(t, a)
	client, _ := open(t, b)
	url := serve(t, server)

	response, err := ask(t, url, client.ClientConfig())
	before := serial(t, response, err)
	require.Equal(t, "b", response.Header.Get("X-Client"))
	require.Equal(t, uint16(tls.VersionTLS13), response.TLS.Version)
	response, err = ask(t, url, client.ClientConfig())
	require.Equal(t, before, serial(t, response, err))
	require.Zero(t, logs.Len(), "nothing was read again")

	rewrite(t, ours, a, "a")
	response, err = ask(t, url, client.ClientConfig())
	require.NotEqual(t, before, serial(t, response, err))
	require.Equal(t, 1, logs.FilterMessageSnippet("read again").Len())

	theirs := tlsfilestest.NewAuthority(t)
	rewrite(t, theirs, b, "c")
	_, err = ask(t, url, client.ClientConfig())
	require.ErrorContains(t, err, "unknown authority", "the client believes another authority now")
	rewrite(t, theirs, a, "a")
	response, err = ask(t, url, client.ClientConfig())
	require.NoError(t, err)
	require.Equal(t, "c", response.Header.Get("X-Client"))
}

// TestWhoComes: no certificate is let in as nobody, a stranger's not at all, nor
// what speaks less than TLS 1.3.
func TestWhoComes(t *testing.T) {
	t.Parallel()
	ours, theirs := tlsfilestest.NewAuthority(t), tlsfilestest.NewAuthority(t)
	server, _ := open(t, ours.Issue(t, t.TempDir(), "a"))
	url := serve(t, server)

	response, err := ask(t, url, &tls.Config{RootCAs: ours.Pool()})
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)

	stranger, _ := open(t, theirs.Issue(t, t.TempDir(), "a"))
	config := stranger.ClientConfig()
	config.RootCAs = ours.Pool()
	_, err = ask(t, url, config)
	require.Error(t, err)

	_, err = ask(t, url, &tls.Config{RootCAs: ours.Pool(), MaxVersion: tls.VersionTLS12})
	require.ErrorContains(t, err, "protocol version")

	files := ours.Issue(t, t.TempDir(), "open")
	files.CA = ""
	public, _ := open(t, files)
	own, _ := open(t, ours.Issue(t, t.TempDir(), "b"))
	response, err = ask(t, serve(t, public), own.ClientConfig())
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "without an authority nobody is verified")
}

// TestHalfWritten: between a new certificate and its key the old pair is used,
// which is said once; with its key it counts.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	ours := tlsfilestest.NewAuthority(t)
	files := ours.Issue(t, t.TempDir(), "a")
	other := ours.Issue(t, t.TempDir(), "a")
	server, logs := open(t, files)
	client, _ := open(t, ours.Issue(t, t.TempDir(), "b"))
	url := serve(t, server)
	response, err := ask(t, url, client.ClientConfig())
	before := serial(t, response, err)

	replace(t, other.Cert, files.Cert)
	for range 3 {
		response, err = ask(t, url, client.ClientConfig())
		require.Equal(t, before, serial(t, response, err))
	}
	require.Equal(t, 1, logs.FilterMessageSnippet("can't be used").Len())
	replace(t, other.Key, files.Key)
	response, err = ask(t, url, client.ClientConfig())
	after := serial(t, response, err)
	require.NotEqual(t, before, after)

	require.NoError(t, os.Remove(files.Cert))
	response, err = ask(t, url, client.ClientConfig())
	require.Equal(t, after, serial(t, response, err), "a file that is gone for a moment")
}

// TestPace: files are looked at once a second at most, whatever is dialled.
func TestPace(t *testing.T) {
	t.Parallel()
	ours := tlsfilestest.NewAuthority(t)
	files := ours.Issue(t, t.TempDir(), "a")
	p, err := tlsfiles.Open(files, zap.NewNop())
	require.NoError(t, err)
	rewrite(t, ours, files, "a")
	p.SetPace(time.Hour)
	first := p.ClientConfig().Certificates[0].Leaf.SerialNumber
	p.SetPace(0)
	require.NotEqual(t, first, p.ClientConfig().Certificates[0].Leaf.SerialNumber)
}

func TestOpenNamesTheFile(t *testing.T) {
	t.Parallel()
	ours := tlsfilestest.NewAuthority(t)
	good := ours.Issue(t, t.TempDir(), "a")
	for name, files := range map[string]tlsfiles.Files{
		good.CA: {Cert: good.CA, Key: good.Key, CA: good.CA}, good.Key: {Cert: good.Cert, Key: good.Cert, CA: good.CA},
		"no-such-file": {Cert: "no-such-file", Key: good.Key}, "no-such-key": {Cert: good.Cert, Key: "no-such-key"},
		"holds no certificate": {Cert: good.Cert, Key: good.Key, CA: good.Key}, "no-such-ca": {Cert: good.Cert, Key: good.Key, CA: "no-such-ca"},
	} {
		_, err := tlsfiles.Open(files, zap.NewNop())
		if name == good.Key {
			require.ErrorContains(t, err, good.Cert)
			continue
		}
		require.ErrorContains(t, err, name)
	}
}

// rewrite puts a new certificate with its key and authority in the files' places.
func rewrite(t *testing.T, by *tlsfilestest.Authority, files tlsfiles.Files, name string) {
	t.Helper()
	issued := by.Issue(t, t.TempDir(), name)
	replace(t, issued.Cert, files.Cert)
	replace(t, issued.Key, files.Key)
	replace(t, issued.CA, files.CA)
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(from, to))
}
