package documents

import (
	"errors"

	"uaol/services"
)

// The codes of what can be wrong with a file.
const (
	CodeBroken    = "DOCUMENT_BROKEN"
	CodeEncrypted = "DOCUMENT_ENCRYPTED"
	CodeTooLarge  = "DOCUMENT_TOO_LARGE"
	CodeTimeout   = "DOCUMENT_TIMEOUT"
)

func broken(format string, args ...any) *services.Error {
	return services.Errorf(services.Invalid, format, args...).WithCode(CodeBroken)
}

func damaged(what string, cause error) *services.Error {
	return broken("This %s is cut off or damaged and can't be read; upload it again, or save it anew first", what).Because(cause)
}

func encrypted(what string) *services.Error {
	return services.Errorf(services.Invalid, "This %s is protected by a password; save it without one and upload that", what).WithCode(CodeEncrypted)
}

func tooLarge(format string, args ...any) *services.Error {
	return services.Errorf(services.Invalid, format, args...).WithCode(CodeTooLarge)
}

func tooMuchText(most int) *services.Error {
	return tooLarge("This file has more than %d MB of text; split it and upload its parts", most>>20)
}

func unsupported(format string, args ...any) *services.Error {
	return services.Errorf(services.Unsupported, format, args...)
}

// faultOf is an error of a file's reader as callers may see it: one that says
// nothing of its own means that the file is damaged.
func faultOf(what string, err error) error {
	var known *services.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return damaged(what, err)
}
