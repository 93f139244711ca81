package llm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"uaol/providers/egress"
	"uaol/services"
)

// Codes that say what a person has to do, besides the kinds' own.
const (
	CodeKeyRefused     = "PROVIDER_KEY_REFUSED"    // Invalid: give another key
	CodeQuota          = "PROVIDER_QUOTA_EXCEEDED" // Invalid: pay the provider, or give another key
	CodeUnknownModel   = "MODEL_UNKNOWN"           // Invalid: name another model
	CodeContext        = "CONTEXT_TOO_LONG"        // Invalid: say less
	CodeRequest        = "MODEL_REQUEST_REFUSED"   // Invalid: the provider says what it does not take
	CodeTooLarge       = "ANSWER_TOO_LARGE"        // Upstream: the answer is more than is kept
	CodeCut            = "ANSWER_CUT"              // Upstream: the answer has no end
	CodeAddressRefused = "ADDRESS_REFUSED"         // Upstream: the address is closed to us
)

// Details are what programs learn of a failure.
type Details struct {
	Provider   Provider `json:"provider"`
	Status     int      `json:"upstreamStatus,omitempty"`    // HTTP
	RetryAfter int      `json:"retryAfterSeconds,omitempty"` // what the provider asks for
}

var (
	errTooLong  = errors.New("the whole answer took too long")
	errSilent   = errors.New("the model fell silent")
	errTooLarge = services.Errorf(services.Upstream, "The model's answer is too large").WithCode(CodeTooLarge)
	errNoAnswer = services.Errorf(services.Upstream, "The model provider answered without an answer")
	errGarbage  = services.Errorf(services.Upstream, "The model provider's answer is not understood")
)

// failure is an error with what to do about it.
type failure struct {
	err   error
	again bool          // another attempt may help
	after time.Duration // but no earlier; 0 when nobody said
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// refused judges an answer that is none.
func (w *wire) refused(status int, header http.Header, body []byte) *failure {
	said := read(body)
	if after := retryAfter(header, time.Now()); after > 0 {
		said.after = after
	}
	return w.classify(status, said)
}

// spoken judges an error in the place of an answer; nil when there is none.
func (w *wire) spoken(raw []byte) error {
	said := read(raw)
	if !said.fault {
		return nil
	}
	return w.classify(said.status(), said)
}

// classify turns what a provider says into a kind. The order matters: the more
// particular word comes first.
func (w *wire) classify(status int, said said) *failure {
	words := w.words(said.message)
	details := Details{Provider: w.in.Provider, Status: status, RetryAfter: int((said.after + time.Second - 1) / time.Second)}
	fail := func(kind services.Kind, code, format string, args ...any) *failure {
		e := services.Errorf(kind, format, args...).WithDetails(details)
		if code != "" {
			e = e.WithCode(code)
		}
		return &failure{err: e}
	}
	refusable := status == 0 || status >= 400 && status < 500
	switch {
	case refusable && said.quota(), status == http.StatusPaymentRequired:
		return fail(services.Invalid, CodeQuota, "The account at the model provider %s is used up: %s", w.in.Provider, w.remedy("see to its billing there, or "))
	case status == http.StatusUnauthorized, status == http.StatusForbidden, refusable && said.keyRefused():
		// Its words are left out: OpenAI's show parts of the key.
		return fail(services.Invalid, CodeKeyRefused, "The model provider %s refuses the API key or what it is used for: %s", w.in.Provider, w.remedy(""))
	case refusable && said.contextTooLong(), status == http.StatusRequestEntityTooLarge:
		return fail(services.Invalid, CodeContext, "This is more than the model %s takes at a time%s", w.in.Model, words)
	case refusable && said.unknownModel(), status == http.StatusNotFound && said.message != "":
		return fail(services.Invalid, CodeUnknownModel, "The model provider %s has no model %s for this key%s", w.in.Provider, w.in.Model, words)
	case status == http.StatusTooManyRequests, said.limited():
		f := fail(services.Limited, "", "The model provider %s takes no more requests for now; try again later", w.in.Provider)
		f.again, f.after = true, said.after
		return f
	case status == http.StatusServiceUnavailable, status == statusOverloaded, said.overloaded():
		f := fail(services.Unavailable, "", "The model provider %s is overloaded; try again later%s", w.in.Provider, words)
		f.again, f.after = true, said.after
		return f
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		f := fail(services.Timeout, "", "The model provider %s did not answer in time", w.in.Provider)
		f.again, f.after = true, said.after
		return f
	case status >= 300 && status < 400, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return fail(services.Upstream, "", "The model provider %s is not where it was looked for; an operator sets %s", w.in.Provider, w.door.Variable)
	case status >= 400 && status < 500:
		return fail(services.Invalid, CodeRequest, "The model provider %s does not take this request%s", w.in.Provider, words)
	default:
		f := fail(services.Upstream, "", "The model provider %s failed%s", w.in.Provider, words)
		f.again, f.after = true, said.after
		return f
	}
}

// statusOverloaded is Anthropic's.
const statusOverloaded = 529

// remedy says who can do something about a key.
func (w *wire) remedy(first string) string {
	if w.fix != "" {
		return first + w.fix
	}
	if w.in.Platform {
		return first + "store a key of your own with POST /api-keys, or ask an operator to change this server's"
	}
	return first + "store another with POST /api-keys"
}

// judge says what became of an attempt that brought no answer. ctx is the
// request's.
func (w *wire) judge(ctx context.Context, err error) *failure {
	var mine handed
	var known *failure
	var refused *egress.RefusedError
	var ours *services.Error
	details := Details{Provider: w.in.Provider}
	fail := func(kind services.Kind, format string, args ...any) *services.Error {
		return services.Errorf(kind, format, args...).WithDetails(details).Because(err)
	}
	switch {
	case errors.As(err, &mine):
		return &failure{err: mine.error}
	case errors.As(err, &known):
		return known
	case errors.Is(context.Cause(ctx), errTooLong):
		return &failure{err: fail(services.Timeout, "The model did not finish its answer in time")}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &failure{err: fail(services.Timeout, "There was no time left for the model's answer")}
	case ctx.Err() != nil:
		return &failure{err: fail(services.Unavailable, "The request to the model was given up").Because(ctx.Err())}
	case errors.Is(err, errSilent):
		return &failure{err: fail(services.Timeout, "The model sent nothing for too long")}
	case errors.As(err, &refused):
		return &failure{err: fail(services.Upstream, "The model provider %s can't be called: its address is closed to this server", w.in.Provider).WithCode(CodeAddressRefused)}
	case errors.As(err, &ours):
		return &failure{err: ours.WithDetails(details)}
	}
	if e, ok := apiError(err); ok {
		said := said{fault: true, message: e.Message, kind: e.Type}
		said.take(e.Code)
		return w.classify(said.status(), said)
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case !w.sent:
		return &failure{err: fail(services.Invalid, "The model %s does not take this request%s", w.in.Model, w.words(err.Error())).WithCode(CodeRequest)}
	case errors.As(err, &syntax), errors.As(err, &kind):
		return &failure{err: errGarbage.WithDetails(details).Because(err)}
	case w.begun && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return &failure{err: fail(services.Upstream, "The model's answer was cut off").WithCode(CodeCut), again: true}
	case timedOut(err):
		return &failure{err: fail(services.Timeout, "The model provider %s did not answer in time", w.in.Provider)}
	default:
		return &failure{err: fail(services.Unavailable, "The model provider %s can't be reached: %s", w.in.Provider, reason(err)), again: true}
	}
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// reason puts a failure to connect into words that name no address.
func reason(err error) string {
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &dns):
		return "its host name does not resolve"
	case errors.As(err, &verify), errors.As(err, &authority):
		return "its TLS certificate is not valid"
	case errors.As(err, &record):
		return "no TLS connection"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closes the connection"
	default:
		return "no connection"
	}
}

// retryAfter is how long a provider asks us to wait; 0 when it does not say.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 && seconds < 1e6 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
