package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"uaol/services"
)

// statuses ties each kind of error to its HTTP status and to the contract's
// code. The server reads it forwards, clients of other services backwards.
var statuses = []struct {
	kind   services.Kind
	status int
	code   string
}{
	{services.Invalid, http.StatusBadRequest, "VALIDATION_ERROR"},
	{services.Unauthenticated, http.StatusUnauthorized, "AUTHENTICATION_ERROR"},
	{services.Insufficient, http.StatusPaymentRequired, "INSUFFICIENT_CREDITS"},
	{services.Forbidden, http.StatusForbidden, "AUTHORIZATION_ERROR"},
	{services.NotFound, http.StatusNotFound, "NOT_FOUND"},
	{services.NoMethod, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	{services.Slow, http.StatusRequestTimeout, "REQUEST_TIMEOUT"},
	{services.Conflict, http.StatusConflict, "CONFLICT"},
	{services.TooLarge, http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE"},
	{services.Unsupported, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE"},
	{services.Limited, http.StatusTooManyRequests, "RATE_LIMIT_ERROR"},
	{services.Full, http.StatusInsufficientStorage, "INSUFFICIENT_STORAGE"},
	{services.Upstream, http.StatusBadGateway, "UPSTREAM_ERROR"},
	{services.Unavailable, http.StatusServiceUnavailable, "UNAVAILABLE"},
	{services.Timeout, http.StatusGatewayTimeout, "UPSTREAM_TIMEOUT"},
	{services.Unconfigured, http.StatusInternalServerError, "NOT_CONFIGURED"},
	{services.Internal, http.StatusInternalServerError, "INTERNAL_ERROR"},
}

func statusOf(kind services.Kind) (status int, code string) {
	for _, row := range statuses {
		if row.kind == kind {
			return row.status, row.code
		}
	}
	return http.StatusInternalServerError, "INTERNAL_ERROR"
}

// KindOfStatus is the kind that an HTTP status stands for.
func KindOfStatus(status int) services.Kind {
	for _, row := range statuses {
		if row.status == status && row.kind != services.Unconfigured {
			return row.kind
		}
	}
	if status >= 400 && status < 500 {
		return services.Invalid
	}
	return services.Internal
}

// ErrForeign is the cause of an error that is not in the contract's form: a
// balancer's, for example, which does not know what became of the request.
var ErrForeign = errors.New("the answer is not UAOL's")

// ReadError gives an error back its four parts from the wire.
func ReadError(status int, body []byte) error {
	var read struct {
		Err *struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Details json.RawMessage `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &read); err != nil || read.Err == nil {
		return services.Errorf(services.Unavailable, "Something that is not UAOL answered with status %d", status).Because(ErrForeign)
	}
	kind := kindOf(status, read.Err.Code)
	e := services.Errorf(kind, "%s", read.Err.Message)
	if _, own := statusOf(kind); own != read.Err.Code {
		e = e.WithCode(read.Err.Code)
	}
	if len(read.Err.Details) > 0 {
		e = e.WithDetails(read.Err.Details)
	}
	return e
}

// kindOf tells the kinds apart that share a status, by their code.
func kindOf(status int, code string) services.Kind {
	if status == http.StatusInternalServerError && code != "INTERNAL_ERROR" {
		return services.Unconfigured
	}
	return KindOfStatus(status)
}

// ErrorBody is the contract's error on the wire. kind is for our own clients:
// two kinds may share a status.
type ErrorBody struct {
	Success bool        `json:"success"`
	Err     errorMember `json:"error"`

	status int
	cause  error
}

type errorMember struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details,omitempty"`
}

// GetStatus makes ErrorBody a huma.StatusError.
func (b *ErrorBody) GetStatus() int { return b.status }

// GetHeaders makes ErrorBody a huma.HeadersError: who is limited hears when to
// come back.
func (b *ErrorBody) GetHeaders() http.Header {
	if b.status != http.StatusTooManyRequests {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(retryAfter(b.Err.Details))}}
}

// retryAfter reads the seconds out of an error's details, which may have come
// from another service.
func retryAfter(details any) int {
	var said struct {
		Seconds int `json:"retryAfterSeconds"`
	}
	if text, err := json.Marshal(details); err != nil || json.Unmarshal(text, &said) != nil || said.Seconds < 1 {
		return 60
	}
	return said.Seconds
}

func (b *ErrorBody) Error() string { return b.Err.Message }

// Unwrap gives what went wrong inside, for the log.
func (b *ErrorBody) Unwrap() error { return b.cause }

// toBody writes err in the contract's words. What is not a services.Error is a
// defect: its text stays in the log.
func toBody(err error) *ErrorBody {
	var e *services.Error
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, context.Canceled):
			e = services.Errorf(services.Unavailable, "The request was cancelled")
		case errors.Is(err, context.DeadlineExceeded):
			e = services.Errorf(services.Unavailable, "This took too long; try again")
		default:
			e = services.Errorf(services.Internal, "An internal error occurred")
		}
	}
	status, code := statusOf(e.Kind)
	if e.Code != "" {
		code = e.Code
	}
	return &ErrorBody{
		Err:    errorMember{Code: code, Message: e.Message, Details: e.Details},
		status: status, cause: err,
	}
}

// CodeOf is the contract's code for an error.
func CodeOf(err error) string { return toBody(err).Err.Code }

// StatusOf is the HTTP status that an error is answered with.
func StatusOf(err error) int { return toBody(err).status }

// RetryAfter is in how many seconds what was limited may be tried again.
func RetryAfter(err error) int { return retryAfter(toBody(err).Err.Details) }

// MessageOf is what people may be told of an error.
func MessageOf(err error) string { return toBody(err).Err.Message }

// Fail ends a request with an error in the contract's words.
func Fail(c *gin.Context, err error) {
	body := toBody(err)
	if body.status >= http.StatusInternalServerError {
		_ = c.Error(err) // the access log tells it
	}
	if body.status == http.StatusTooManyRequests && c.Writer.Header().Get("Retry-After") == "" {
		c.Header("Retry-After", strconv.Itoa(retryAfter(body.Err.Details)))
	}
	c.AbortWithStatusJSON(body.status, body)
}

// WriteError ends a request with an error in the contract's words where no
// operation answers.
func WriteError(w http.ResponseWriter, err error) {
	body := toBody(err)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(body.status)
	_ = json.NewEncoder(w).Encode(body)
}

// contractErrors rewrites the library's own errors (validation, malformed or
// oversized bodies) in the contract's words.
func contractErrors(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		if body, ok := v.(*ErrorBody); ok && body.status >= http.StatusInternalServerError {
			noteFailure(ctx, body.cause)
		}
		return v, nil
	}
	status := contractStatus(model.Status)
	kind := KindOfStatus(status)
	e := services.Errorf(kind, "%s", model.Detail)
	switch kind {
	case services.Invalid:
		e = services.Faults(faultsOf(operationOf(ctx.Operation()), model.Errors)...)
		if faults, _ := e.Details.([]services.Fault); len(faults) > 0 {
			if says := operationOf(ctx.Operation()).says(faults); says != "" {
				e.Message = says
			}
		}
	case services.TooLarge:
		e.Message = "The body is larger than " + strconv.FormatInt(operationOf(ctx.Operation()).MaxBody, 10) + " bytes"
	case services.Unsupported:
		e.Message = "Content-Type must be application/json"
	case services.Internal:
		e.Message = "An internal error occurred"
		noteFailure(ctx, model)
	}
	return toBody(e), nil
}

// contractStatus is the library's status in the contract's terms: bad input is
// always 400.
func contractStatus(status int) int {
	switch status {
	case http.StatusUnprocessableEntity, http.StatusNotAcceptable:
		return http.StatusBadRequest
	}
	return status
}

func faultsOf(op *Operation, details []*huma.ErrorDetail) []services.Fault {
	faults := make([]services.Fault, 0, len(details))
	for _, d := range details {
		path, message := d.Location, d.Message
		property, absent := missing(message)
		if absent {
			path, message = path+"."+property, "is required"
		}
		if path == "body" && strings.HasPrefix(d.Message, "unexpected") || strings.Contains(message, "invalid character") {
			message = "malformed JSON: " + message
		}
		if says, ok := op.Says[path]; ok && (absent || d.Value == nil || message == tooShort) {
			message = says
		}
		faults = append(faults, services.Fault{Path: path, Message: message})
	}
	if len(faults) == 0 {
		faults = append(faults, services.Fault{Path: "body", Message: "cannot be read"})
	}
	return faults
}

// says is the contract's message for the first fault that has one.
func (op *Operation) says(faults []services.Fault) string {
	for _, f := range faults {
		if f.Message == op.Says[f.Path] {
			return f.Message
		}
	}
	return ""
}

// tooShort is the library's word for an empty text, which the contract takes
// for an absent one.
const tooShort = "expected length >= 1"

// missing reads the property's name out of the library's words for a missing one.
func missing(message string) (property string, ok bool) {
	rest, ok := strings.CutPrefix(message, "expected required property ")
	if !ok {
		return "", false
	}
	return strings.TrimSuffix(rest, " to be present"), true
}
