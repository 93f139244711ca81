package credentials

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/openbao/openbao/api/v2"
	"go.uber.org/zap"

	"uaol/services"
)

// vault keeps values in HashiCorp Vault or OpenBao, in a KV engine of version 2,
// at uaol/tools/<place>. Places are made of letters, digits, - and _.
type vault struct {
	client *api.Client
	kv     *api.KVv2
}

const vaultTimeout = 5 * time.Second // of one request

// newVault makes a client that heeds our settings alone, not the library's own
// variables. Operators choose the address, so it may be a private one.
func newVault(cfg Config) (*vault, error) {
	settings := api.NewConfig()
	settings.DisableEnvironment = true
	settings.Address = cfg.VaultAddr
	settings.Timeout = vaultTimeout
	settings.MaxRetries = 1
	settings.HttpClient = &http.Client{
		Transport: &http.Transport{
			Proxy:               cfg.Through(),
			DialContext:         (&net.Dialer{Timeout: vaultTimeout}).DialContext,
			TLSHandshakeTimeout: vaultTimeout,
			IdleConnTimeout:     30 * time.Second,
			MaxIdleConnsPerHost: 8,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	client, err := api.NewClient(settings)
	if err != nil {
		return nil, fmt.Errorf("VAULT_ADDR: %w", err)
	}
	client.SetToken(cfg.VaultToken)
	return &vault{client: client, kv: client.KVv2(cfg.VaultMount)}, nil
}

// check looks whether the server is there and knows the token.
func (v *vault) check(ctx context.Context) error {
	if _, err := v.client.Auth().Token().LookupSelfWithContext(ctx); err != nil {
		return fmt.Errorf("VAULT_ADDR and VAULT_TOKEN: %w", vaultSays(err))
	}
	return nil
}

func (v *vault) path(at place) string { return "uaol/tools/" + at.path() }

func (v *vault) put(ctx context.Context, at place, value string) ([]byte, error) {
	_, err := v.kv.Put(ctx, v.path(at), map[string]any{"value": value, "origin": at.Origin})
	return []byte{}, vaultFailed(err)
}

func (v *vault) get(ctx context.Context, at place, _ []byte) (string, error) {
	kept, err := v.kv.Get(ctx, v.path(at))
	if errors.Is(err, api.ErrSecretNotFound) {
		return "", errNoValue
	}
	if err != nil {
		return "", vaultFailed(err)
	}
	value, isText := kept.Data["value"].(string)
	if !isText {
		return "", errNoValue
	}
	return value, nil
}

// remove drops all versions of the value.
func (v *vault) remove(ctx context.Context, at place) error {
	return vaultFailed(v.kv.DeleteMetadata(ctx, v.path(at)))
}

// vaultFailed is an error for callers. The library's text stays in the log, cut
// to what the server says: requests hold values.
func vaultFailed(err error) error {
	if err == nil {
		return nil
	}
	return services.Errorf(services.Unavailable, "Tools' secrets can't be reached just now; try again").Because(vaultSays(err))
}

func vaultSays(err error) error {
	var answered *api.ResponseError
	if errors.As(err, &answered) {
		return fmt.Errorf("it answered %d", answered.StatusCode)
	}
	text := err.Error()
	return errors.New(text[:min(len(text), 200)])
}

const (
	soonest = time.Second // between renewals
	latest  = time.Hour
)

// keep renews the token at half its time, while it can be renewed.
func (v *vault) keep(ctx context.Context, log *zap.Logger) error {
	for {
		pause, err := v.renew(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("Vault's token could not be renewed; trying again", zap.Error(vaultSays(err)), zap.Duration("after", pause))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// renew renews the token if it can be, and tells when to look again.
func (v *vault) renew(ctx context.Context) (time.Duration, error) {
	const failed = 10 * time.Second
	known, err := v.client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return failed, err
	}
	if able, err := known.TokenIsRenewable(); err != nil || !able {
		return latest, err
	}
	renewed, err := v.client.Auth().Token().RenewSelfWithContext(ctx, 0)
	if err != nil {
		return failed, err
	}
	ttl, err := renewed.TokenTTL()
	return min(max(ttl/2, soonest), latest), err
}
