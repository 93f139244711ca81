package peers

import (
	"uaol/providers/config"
	"uaol/providers/secrets"
	"uaol/providers/tlsfiles"
)

// Config is what all services of one deployment share.
type Config struct {
	config.Process
	Secret   string `env:"UAOL_SERVICE_SECRET" secret:"true" want:"the same random text of at least 32 characters in every process" doc:"shared by all processes of a deployment; needed as soon as there is more than one"`
	Previous string `env:"UAOL_SERVICE_SECRET_PREVIOUS" secret:"true" want:"the other service secret while they are being changed" doc:"a second service secret that is accepted but not signed with, while the secret is being changed"`
	Cert     string `env:"UAOL_PEER_TLS_CERT" want:"a PEM file with this process's certificate, for servers and clients" doc:"certificate that this process shows to other services of ours; with it only those whose certificate comes from UAOL_PEER_TLS_CA are believed; read again when it changes"`
	Key      string `env:"UAOL_PEER_TLS_KEY" want:"the PEM file with the key of UAOL_PEER_TLS_CERT" doc:"its private key's file"`
	CA       string `env:"UAOL_PEER_TLS_CA" want:"a PEM file with the authorities of our services' certificates" doc:"authorities that the certificates of our own services come from, and nobody else's"`
}

// Check refuses a secret that is too short, in development too: it guards a port.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if c.Secret != "" {
		if err := secrets.Check("UAOL_SERVICE_SECRET", c.Secret, true); err != nil {
			return err
		}
	}
	if c.Previous != "" {
		if c.Secret == "" {
			return &config.Fault{Variable: "UAOL_SERVICE_SECRET", Want: "the secret to sign with, because UAOL_SERVICE_SECRET_PREVIOUS is set"}
		}
		if err := secrets.Check("UAOL_SERVICE_SECRET_PREVIOUS", c.Previous, true); err != nil {
			return err
		}
	}
	if c.Cert == "" && c.Key == "" && c.CA == "" {
		return nil
	}
	for _, file := range [][2]string{{"UAOL_PEER_TLS_CERT", c.Cert}, {"UAOL_PEER_TLS_KEY", c.Key}, {"UAOL_PEER_TLS_CA", c.CA}} {
		if file[1] == "" {
			return &config.Fault{Variable: file[0], Want: "a file, because the other UAOL_PEER_TLS_ variables are set"}
		}
	}
	return nil
}

// Files are what services of ours show each other, if they do.
func (c *Config) Files() (files tlsfiles.Files, mutual bool) {
	return tlsfiles.Files{Cert: c.Cert, Key: c.Key, CA: c.CA}, c.Cert != ""
}
