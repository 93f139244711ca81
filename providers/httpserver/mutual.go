package httpserver

import (
	"uaol/providers/config"
	"uaol/providers/peers"
	"uaol/providers/tlsfiles"
	"uaol/services"
)

// certificates are what this process serves TLS with; nil for plain HTTP. With
// UAOL_PEER_TLS_CERT that is the certificate it shows to other services of ours,
// unless the gateway runs here: its clients are not ours, and see UAOL_TLS_CERT.
// Clients may come without one; what is for our services alone refuses them
// (peers.VerifyPeer).
func (p serverParams) certificates() (*tlsfiles.Pair, error) {
	if files, mutual := p.Peers.Files(); mutual && p.Identity.Runs(services.Gateway) && len(p.Identity.Set) > 1 && !bool(p.Whole) {
		return nil, &config.Fault{Variable: "UAOL_PEER_TLS_CERT", Value: files.Cert, Want: "the gateway in a process of its own: " +
			"its clients show no certificates, and with it on one listener other processes could not show theirs to the services beside it"}
	}
	files, variable := p.Config.Certificates(p.Peers, p.Identity)
	if variable == "" {
		return nil, nil
	}
	pair, err := tlsfiles.Open(files, p.Log.Named("http"))
	if err != nil {
		return nil, &config.Fault{Variable: variable, Value: files.Cert, Want: "a certificate that can be used: " + err.Error()}
	}
	return pair, nil
}

// Certificates are the files of what a process serves TLS with, and the variable
// that names them; "" for plain HTTP.
func (c *Config) Certificates(peers peers.Config, identity Identity) (files tlsfiles.Files, variable string) {
	if files, mutual := peers.Files(); mutual && !identity.Runs(services.Gateway) {
		return files, "UAOL_PEER_TLS_CERT"
	}
	if c.Cert == "" {
		return tlsfiles.Files{}, ""
	}
	return tlsfiles.Files{Cert: c.Cert, Key: c.Key}, "UAOL_TLS_CERT"
}
