package app

import (
	"net"

	"uaol/providers/config"
	"uaol/providers/httpserver"
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
	return "http://" + net.JoinHostPort(host, port) + "/readyz", nil
}
