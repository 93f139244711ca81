package services

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is. It decides the HTTP status and,
// unless an error names its own, the contract's error code.
type Kind string

// The kinds. Every error that leaves a service is one of these; anything else
// is Internal and its text stays in the log.
const (
	Invalid         Kind = "invalid"         // the caller's input is wrong
	Unauthenticated Kind = "unauthenticated" // no or bad credentials
	Insufficient    Kind = "insufficient"    // not enough credits
	Forbidden       Kind = "forbidden"       // known caller, not allowed
	NotFound        Kind = "not_found"       // no such thing, or not the caller's to know of
	NoMethod        Kind = "no_method"       // the path exists, the HTTP method does not
	Conflict        Kind = "conflict"        // the state of things forbids it
	TooLarge        Kind = "too_large"       // the body exceeds the route's limit
	Unsupported     Kind = "unsupported"     // a media type that is not taken
	Slow            Kind = "slow"            // the caller's body did not come in time
	Limited         Kind = "limited"         // too many requests, come back later
	Full            Kind = "full"            // there is no room to store it
	Upstream        Kind = "upstream"        // somebody else's server failed
	Unavailable     Kind = "unavailable"     // a part of ours can't be reached just now
	Timeout         Kind = "timeout"         // somebody else's server was too slow
	Unconfigured    Kind = "unconfigured"    // an operator has to set something first
	Internal        Kind = "internal"        // a defect of ours
)

// CodeOutcomeUnknown is the code of what was sent and never answered: it may have been done.
const CodeOutcomeUnknown = "OUTCOME_UNKNOWN"

// Error is what services answer with. All four public parts cross the wire
// between services; the cause stays here and reaches only the log.
type Error struct {
	Kind    Kind
	Code    string // empty means the kind's own code
	Message string // for people; never holds a secret or a driver's text
	Details any    // JSON for programs; nil means none
	cause   error
}

// Fault is one thing wrong with an input: where, and what.
type Fault struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause, for errors.Is and for the log.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e that remembers its cause for the log.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

// WithCode returns a copy of e with a code of its own.
func (e *Error) WithCode(code string) *Error {
	with := *e
	with.Code = code
	return &with
}

// WithDetails returns a copy of e with details for programs.
func (e *Error) WithDetails(details any) *Error {
	with := *e
	with.Details = details
	return &with
}

// Errorf makes an error of a kind.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Faults makes an Invalid error that lists every fault; its message is the
// first fault's, so that a person who reads only that is helped too.
func Faults(faults ...Fault) *Error {
	message := "Invalid input"
	if len(faults) > 0 {
		message = faults[0].Message
		if faults[0].Path != "" {
			message = faults[0].Path + ": " + message
		}
	}
	return Errorf(Invalid, "%s", message).WithDetails(faults)
}

// KindOf is err's kind; Internal for an error that has none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// AsError finds the Error in err.
func AsError(err error) (e *Error, ok bool) { return e, errors.As(err, &e) }

// IsCode reports whether an error has a code.
func IsCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
