package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/peers"
	"uaol/providers/tlsfiles"
	"uaol/services"
)

// ReadyURL is where a server that was started with this environment and the
// given services says whether it is ready.
func ReadyURL(env *config.Environment, set ...services.Name) (string, error) {
	cfg, err := config.Parse[httpserver.Config](env)
	if err != nil {
		return "", err
	}
	if len(set) == 0 {
		set = Services()
	}
	addr, _ := cfg.Address(identityOf(set).Set[0])
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if files, err := certificates(env, set); err != nil {
		return "", err
	} else if files.Cert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/readyz", nil
}

// LocalClient asks the server of this environment on this machine, past every
// proxy. It may take three seconds.
func LocalClient(env *config.Environment, set ...services.Name) (*http.Client, error) {
	secure, err := LocalTLS(env, set...)
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}}, nil
}

// LocalTLS is for connections to a server on this machine; nil when it speaks no
// TLS. Its certificate names the deployment and not this machine: so it has to be
// the very one in the file.
func LocalTLS(env *config.Environment, set ...services.Name) (*tls.Config, error) {
	files, err := certificates(env, set)
	if err != nil || files.Cert == "" {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection is stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
			if err != nil {
				return err
			}
			if !bytes.Equal(pair.Certificate[0], leaf(state.PeerCertificates)) {
				return errors.New("the server shows another certificate than its file holds")
			}
			return nil
		},
	}, nil
}

// certificates are the files that such a server shows; none when it speaks no TLS.
func certificates(env *config.Environment, set []services.Name) (tlsfiles.Files, error) {
	cfg, err := config.Parse[httpserver.Config](env)
	if err != nil {
		return tlsfiles.Files{}, err
	}
	ours, err := config.Parse[peers.Config](env)
	if err != nil {
		return tlsfiles.Files{}, err
	}
	if len(set) == 0 {
		set = Services()
	}
	files, _ := cfg.Certificates(ours, identityOf(set))
	return files, nil
}

func leaf(shown []*x509.Certificate) []byte {
	if len(shown) == 0 {
		return nil
	}
	return shown[0].Raw
}
