package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"unicode"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"uaol/providers/egress"
	"uaol/services"
)

// Codes that tell apart what a tool may do to a call, besides the kinds' own.
const (
	CodeUnreachable    = "TOOL_UNREACHABLE" // nothing was sent: it can't be connected to, or started
	CodeTooLarge       = "ANSWER_TOO_LARGE" // it answers more than we take
	CodeRedirected     = "TOOL_REDIRECTS"   // it sends us to an address that nobody registered
	CodeAddressRefused = "ADDRESS_REFUSED"  // it is where nobody may be called
)

// longestMessage caps what we repeat of a tool's own words, in runes.
const longestMessage = 300

// Delivered reports whether the call behind err may have reached the tool, so
// that nobody knows its outcome and it must not simply be sent again.
func Delivered(err error) bool {
	if err == nil {
		return false
	}
	var e *services.Error
	return errors.As(err, &e) && e.Code == services.CodeOutcomeUnknown
}

// UnknownMethod reports a tool's word that it does not have the method.
func UnknownMethod(err error) bool {
	if err == nil {
		return false
	}
	var e *services.Error
	if !errors.As(err, &e) {
		return false
	}
	details, _ := e.Details.(upstreamDetails)
	return details.Code != nil && (*details.Code == jsonrpc.CodeInvalidParams || *details.Code == jsonrpc.CodeMethodNotFound)
}

// Unauthorized reports a tool's word that it does not take what a request carried.
// It has done nothing then.
func Unauthorized(err error) bool {
	if err == nil {
		return false
	}
	var e *services.Error
	if !errors.As(err, &e) {
		return false
	}
	details, _ := e.Details.(upstreamDetails)
	return details.Status == http.StatusUnauthorized
}

// Insufficient gives the scopes that a tool wants besides those that a request's token
// has. It has done nothing then.
func Insufficient(err error) (scopes []string, ok bool) {
	var e *services.Error
	if err == nil || !errors.As(err, &e) {
		return nil, false
	}
	details, _ := e.Details.(upstreamDetails)
	return details.wants, len(details.wants) > 0
}

// upstreamDetails is what programs learn of a tool's failure.
type upstreamDetails struct {
	Status int    `json:"upstreamStatus,omitempty"` // HTTP, unless it was a success
	Code   *int64 `json:"upstreamCode,omitempty"`   // JSON-RPC

	said  *RPCError // whole; only for those who speak the same protocol with their callers
	wants []string  // scopes that the token lacks
}

// statusFault is a tool's answer with a failing HTTP status, and what it said in
// JSON-RPC besides, if it did.
func statusFault(status int, said *RPCError) *services.Error {
	text := "The tool answered with HTTP status " + http.StatusText(status)
	if http.StatusText(status) == "" {
		text = "The tool answered with an unknown HTTP status"
	}
	if status >= 300 && status < 400 {
		text = "The tool redirects elsewhere, register the address it redirects to"
	}
	details := upstreamDetails{Status: status, said: said}
	if said != nil {
		text, details.Code = "The tool answered with an error", &said.Code
		if message := presentable(said.Message); message != "" {
			text += ": " + message
		}
	}
	err := services.Errorf(services.Upstream, "%s", text).WithDetails(details)
	if status >= 300 && status < 400 {
		return err.WithCode(CodeRedirected)
	}
	return err
}

func rpcFault(said RPCError) *services.Error {
	message := presentable(said.Message)
	if message == "" {
		message = "no message"
	}
	return services.Errorf(services.Upstream, "The tool answered with an error: %s", message).
		WithDetails(upstreamDetails{Code: &said.Code, said: &said})
}

func garbage(what string) *services.Error {
	return services.Errorf(services.Upstream, "The tool's answer is not understood: %s", what)
}

var errTooLarge = services.Errorf(services.Upstream, "The tool's answer is too large").WithCode(CodeTooLarge)

// fault says what became of a request that brought no answer. ctx is the
// call's, err what sending or reading gave. A listing may be repeated at will,
// so its outcome is never called unknown.
func fault(ctx context.Context, d *delivery, err error, repeatable bool) error {
	var known *services.Error
	var refused *egress.RefusedError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return services.Errorf(services.Upstream, "The tool can't be called: %s", refused.Error()).WithCode(CodeAddressRefused).Because(withoutURL(err))
	case d.written() && !repeatable:
		return services.Errorf(services.Timeout, "The tool was called but %s; whether it did its work is unknown", cut(ctx)).
			WithCode(services.CodeOutcomeUnknown).Because(withoutURL(err))
	case ctx.Err() != nil && !callerLeft(ctx), timedOut(err) && ctx.Err() == nil:
		return services.Errorf(services.Timeout, "The tool did not answer in time").Because(withoutURL(err))
	default:
		return services.Errorf(services.Unavailable, "The tool can't be reached: %s", reason(ctx, err)).WithCode(CodeUnreachable).Because(withoutURL(err))
	}
}

func cut(ctx context.Context) string {
	switch {
	case ctx.Err() == nil:
		return "the connection was lost before it answered"
	case callerLeft(ctx):
		return "the call was given up before it answered"
	default:
		return "did not answer in time"
	}
}

func callerLeft(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTooSlow) && !errors.Is(ctx.Err(), context.DeadlineExceeded)
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// reason puts a failure to connect into words that name no address: names may
// resolve to addresses that are nobody's business.
func reason(ctx context.Context, err error) string {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var alert tls.AlertError
	switch {
	case callerLeft(ctx):
		return "the call was given up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to its host"
	case errors.As(err, &dns):
		return "its host name does not resolve"
	case errors.As(err, &verify), errors.As(err, &authority):
		return "its TLS certificate is not valid"
	case errors.As(err, &record), errors.As(err, &alert):
		return "no TLS connection"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closes the connection"
	default:
		return "no connection"
	}
}

// withoutURL keeps a cause for the log but not the URL in it, whose query may
// hold a token.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// presentable makes a stranger's text fit to be shown: one line, of limited
// length, without control characters and without credentials inside URLs.
func presentable(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
	text = credentials.ReplaceAllString(text, "$1")
	if runes := []rune(text); len(runes) > longestMessage {
		text = string(runes[:longestMessage]) + "…"
	}
	return text
}
