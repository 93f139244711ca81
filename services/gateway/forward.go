package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"uaol/providers/api"
	"uaol/providers/peers"
	"uaol/services"
)

// forwarder passes whole requests on to one service, bodies streamed.
type forwarder struct {
	peer      *peers.Peer
	transport *http.Transport
	proxy     *httputil.ReverseProxy
}

func newForwarder(peer *peers.Peer) *forwarder {
	f := &forwarder{peer: peer, transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute, // a tool call's own limit is shorter
	}}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(peer.Pick())
			r.SetXForwarded()
		},
		Transport:      f.transport,
		FlushInterval:  -1, // streams must not wait in a buffer
		ModifyResponse: ownHeaders,
		ErrorHandler:   f.failed,
	}
	return f
}

// ownHeaders drops what this process has already said about the request.
func ownHeaders(response *http.Response) error {
	for name := range response.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == api.RequestHeader || name == api.GuestHeader || name == "Vary" {
			response.Header.Del(name)
		}
	}
	return nil
}

type ginKey struct{}

// serve is an api.Raw handler. The guest that was made for this request is
// named to the service, so that it does not make another.
func (f *forwarder) serve(c *gin.Context, _ services.Caller) {
	if guest := c.Writer.Header().Get(api.GuestHeader); guest != "" {
		c.Request.Header.Set(api.GuestHeader, guest)
	}
	c.Request.Header.Del(api.OriginHeader) // a client's own word
	if origin, err := f.peer.SignOrigin(services.OriginFrom(c.Request.Context())); err == nil {
		c.Request.Header.Set(api.OriginHeader, origin)
	}
	c.Request.Header.Set(api.RequestHeader, services.RequestID(c.Request.Context()))
	f.proxy.ServeHTTP(c.Writer, c.Request.WithContext(context.WithValue(c.Request.Context(), ginKey{}, c)))
}

func (f *forwarder) failed(_ http.ResponseWriter, r *http.Request, err error) {
	c, ok := r.Context().Value(ginKey{}).(*gin.Context)
	if !ok || c.Writer.Written() {
		return
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		err = services.Errorf(services.TooLarge, "The body is larger than %d bytes", tooLarge.Limit-1)
	case errors.Is(err, context.Canceled):
		err = services.Errorf(services.Unavailable, "The request was cancelled").Because(err)
	default:
		err = services.Errorf(services.Unavailable, "The %s service cannot be reached; try again", f.peer.Service()).Because(err)
	}
	api.Fail(c, err)
}
