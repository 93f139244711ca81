package oidc

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"uaol/providers/egress"
	"uaol/services"
)

const (
	timeout = 10 * time.Second // of one request to a provider
	maxBody = 1 << 20          // bytes of an answer
)

// newClient makes the client for requests to providers. Operators choose their
// addresses, so loopback is fine; redirects are not followed, because the
// requests carry secrets.
func newClient(proxies egress.Proxies) (client *http.Client, idle func()) {
	transport := &http.Transport{
		Proxy:                  proxies.Through(),
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    timeout,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{
		Timeout:       timeout,
		Transport:     bounded{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, transport.CloseIdleConnections
}

// bounded cuts answers that are too long: the libraries read them whole.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxBody)
	}
	return response, err
}

// told is a library's error as the log may have it: short, and without what a
// token endpoint answered, which may repeat the request's secrets.
func told(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		return errors.New("the token endpoint answered " + http.StatusText(status) + " " + Code(refused.ErrorCode))
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	return errors.New(text[:min(len(text), 300)])
}

// isRefusal tells a provider's answer from none.
func isRefusal(err error) bool {
	var refused *oauth2.RetrieveError
	return errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError
}

// Code is a provider's error code in a form that can be shown: bounded, and of
// the characters that codes have.
func Code(text string) string {
	const most = 60
	if text == "" || len(text) > most || strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}) {
		return "unknown_error"
	}
	return text
}

func unreachable(title string, err error) error {
	return services.Errorf(services.Unavailable, "%s can't be reached just now; try again", title).Because(told(err))
}
