package credentials

import (
	"net/url"
	"regexp"
	"strings"

	"uaol/providers/amazon"
	"uaol/providers/config"
)

// Config says where secrets of tools are kept, and where people come back to
// after they have consented at a tool's authorization server.
type Config struct {
	config.Process
	amazon.Account
	Manager    string `env:"SECRETS_MANAGER_TYPE" want:"database, vault or aws" doc:"where tools' secrets are kept: database (default; sealed with ENCRYPTION_SECRET), vault (HashiCorp Vault or OpenBao, KV version 2) or aws (AWS Secrets Manager)"`
	VaultAddr  string `env:"VAULT_ADDR" want:"an http or https URL, because SECRETS_MANAGER_TYPE is vault" doc:"address of HashiCorp Vault or OpenBao, with SECRETS_MANAGER_TYPE=vault"`
	VaultToken string `env:"VAULT_TOKEN" secret:"true" want:"a token, because SECRETS_MANAGER_TYPE is vault" doc:"its token; renewed while it can be; it needs create, update and read on <mount>/data/uaol/tools/*, delete on <mount>/metadata/uaol/tools/*"`
	VaultMount string `env:"VAULT_MOUNT" envDefault:"secret" want:"the path of a KV version 2 engine, such as secret" doc:"where its KV version 2 engine is mounted"`
	AWSPrefix  string `env:"AWS_SECRETS_PREFIX" envDefault:"uaol/tools" want:"letters, digits and _+=.@- in parts separated by /, at most 200 characters" doc:"what the names of tools' secrets begin with, with SECRETS_MANAGER_TYPE=aws; another for each installation in one AWS account and region"`
	PublicURL  string `env:"UAOL_PUBLIC_URL" envDefault:"http://localhost:3000" want:"an http or https URL without query" doc:"address under which clients reach the gateway; tools' authorization servers send people back to it, at /tools/oauth/callback"`
	Frontend   string `env:"FRONTEND_URL" envDefault:"http://localhost:8080" want:"an http or https URL without query; several separated by commas" doc:"where sign-in leads back to, at /auth/callback, tools' consents, at /tools/consent, and payments, at /billing; of several, separated by commas, the first is the default and ?return_to= chooses another"`
}

// Where secrets are kept.
const (
	inDatabase = "database"
	inVault    = "vault"
	inAWS      = "aws"
)

var (
	mountForm  = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*$`) // AWS takes 512 characters, of which a place has at most 200
)

// Check judges every setting.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	c.Manager = strings.ToLower(c.Manager)
	switch c.Manager {
	case "", "db", "postgres", inDatabase:
		c.Manager = inDatabase
	case inVault:
		if !isBase(c.VaultAddr) {
			return &config.Fault{Variable: "VAULT_ADDR", Value: c.VaultAddr, Want: "an http or https URL, because SECRETS_MANAGER_TYPE is vault"}
		}
		if c.VaultToken == "" {
			return &config.Fault{Variable: "VAULT_TOKEN", Secret: true, Want: "a token, because SECRETS_MANAGER_TYPE is vault"}
		}
		if !mountForm.MatchString(c.VaultMount) {
			return &config.Fault{Variable: "VAULT_MOUNT", Value: c.VaultMount, Want: "the path of a KV version 2 engine, such as secret"}
		}
	case inAWS:
		if err := c.CheckKeys(); err != nil {
			return err
		}
		if !prefixForm.MatchString(c.AWSPrefix) || len(c.AWSPrefix) > 200 {
			return &config.Fault{Variable: "AWS_SECRETS_PREFIX", Value: c.AWSPrefix, Want: "letters, digits and _+=.@- in parts separated by /, at most 200 characters"}
		}
	default:
		return &config.Fault{Variable: "SECRETS_MANAGER_TYPE", Value: c.Manager, Want: "database, vault or aws"}
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if !isBase(c.PublicURL) {
		return &config.Fault{Variable: "UAOL_PUBLIC_URL", Value: c.PublicURL, Want: "an http or https URL without query"}
	}
	c.Frontend, _, _ = strings.Cut(c.Frontend, ",")
	c.Frontend = strings.TrimRight(strings.TrimSpace(c.Frontend), "/")
	if !isBase(c.Frontend) {
		return &config.Fault{Variable: "FRONTEND_URL", Value: c.Frontend, Want: "an http or https URL without query; several separated by commas"}
	}
	return nil
}

func isBase(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && isAddress(raw) && u.RawQuery == "" && !u.ForceQuery
}
