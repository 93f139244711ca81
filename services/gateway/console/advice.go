package console

import (
	"errors"
	"regexp"
	"strings"

	"uaol/providers/api"
	"uaol/services"
)

// problem is what an error page says.
type problem struct {
	Message string
	Code    string
	Faults  map[string]string
	Next    advice
}

func problemOf(err error) problem {
	return problem{Message: messageOf(err), Code: api.CodeOf(err), Faults: faultsOf(err), Next: adviceFor(err)}
}

// messageOf is what people are told of an error: fields of a form are called without the
// API's word for where they come from.
func messageOf(err error) string {
	if api.CodeOf(err) == services.ErrRepeated.Code {
		return "This form was sent before, and done once. To make another, open the form again; what is shown only once can't be shown again, so revoke it where it is listed"
	}
	return placeOf(inWords(api.MessageOf(err)))
}

// schemaWords are what the API's schemas say of values, and what people do.
var schemaWords = []struct {
	said *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(`expected length >= 1\b`), "must not be empty"},
	{regexp.MustCompile(`expected length >= (\d+)`), "must have at least $1 characters"},
	{regexp.MustCompile(`expected length <= (\d+)`), "must have at most $1 characters"},
	{regexp.MustCompile(`expected number >= (-?\d+)`), "must be at least $1"},
	{regexp.MustCompile(`expected number <= (\d+)`), "must be at most $1"},
	{regexp.MustCompile(`expected (integer|number)\b`), "must be a number"},
	{regexp.MustCompile(`invalid date/time for format \S+`), "is not a day"},
}

func inWords(message string) string {
	for _, w := range schemaWords {
		message = w.said.ReplaceAllString(message, w.say)
	}
	return message
}

func placeOf(path string) string { return strings.TrimPrefix(path, "body.") }

// besides are the faults that a message does not tell.
func besides(message string, faults map[string]string) map[string]string {
	more := map[string]string{}
	for path, fault := range faults {
		if !strings.Contains(message, placeOf(path)) || !strings.Contains(message, fault) {
			more[placeOf(path)] = fault
		}
	}
	return more
}

// advice is what to do next.
type advice struct {
	Text string
	Page string // that helps; "" for none
	Name string // of that page
}

func adviceFor(err error) advice {
	var e *services.Error
	code := api.CodeOf(err)
	if about, known := modelAdvice[code]; known {
		return about
	}
	switch {
	case code == services.ErrRepeated.Code:
		return advice{"Nothing was made twice: what was made is in the list.", "", ""}
	case code == "WITH_KEY":
		return advice{"Sign out, and in again with a password, with a provider, or by a link that an operator makes with `uaol admin link`.", "", ""}
	case code == "OTHERS_TOOL":
		return advice{"Switch to that organisation if you are in it.", Prefix + "/tools", "See all tools"}
	case code == "ADMIN_ONLY":
		return advice{"An admin of the platform can make you one.", Prefix, "Go to the overview"}
	case code == "SPEND_CAP_EXCEEDED":
		return advice{"Who manages the organisation can raise or remove the cap.", capsPath, "See the caps"}
	case code == "QUOTA_EXCEEDED":
		return advice{"That is as much as the plan brings.", plansPath, "See the plans"}
	case code == notSelling:
		return advice{"Who runs this server has not set payments up.", plansPath, "See the plans"}
	case code == "SUBSCRIBED":
		return advice{"Another plan is chosen on Stripe's page: press “Cards and invoices”.", plansPath, "Back to the plans"}
	case code == "SIGN_IN_AGAIN":
		return advice{"Sign out, sign in again, and repeat it within ten minutes.", "", ""}
	case isKind(err, services.Unauthenticated):
		return advice{"Sign in again in another tab; what you have written here stays.", Prefix + "/sign-in", "Sign in"}
	case code == "OTHER_ORGANIZATION":
		return advice{"Switch back to that organisation, or open this page again in the one you are in.", Prefix, "Go to the overview"}
	case isKind(err, services.Insufficient):
		return advice{"There are not enough credits for this.", Prefix + "/credits", "See credits, caps and how to get more"}
	case isKind(err, services.Forbidden):
		return advice{"Who manages the organisation can change your role or a key's scopes.", Prefix + "/members", "See who that is"}
	case isKind(err, services.Limited):
		return advice{"Requests are limited per minute: try again in " + plural(api.RetryAfter(err), "second") + ".", "", ""}
	case isKind(err, services.NotFound):
		return advice{"It may have been removed, or belong to another organisation: switch at the top left.", Prefix, "Go to the overview"}
	case isKind(err, services.Unavailable, services.Timeout):
		return advice{"A part of the server can't be reached just now. What was sent may be sent again.", Prefix, "See what runs"}
	case isKind(err, services.Unconfigured):
		return advice{"An operator has to set this up first; `uaol config` lists all settings.", "", ""}
	case errors.As(err, &e) && e.Kind == services.Internal:
		return advice{"This is a fault of the server. The request's id helps whoever looks into it.", "", ""}
	}
	return advice{"Go back, correct what is named here, and try again.", "", ""}
}

// modelAdvice is what helps where a model was asked, by the codes of errors.
var modelAdvice = map[string]advice{
	"PROVIDER_KEY_MISSING":    {"Models are asked with a key of their provider's, such as OpenAI's.", Prefix + "/keys", "Store a provider's key"},
	"PROVIDER_KEY_REFUSED":    {"The provider does not take the key any more.", Prefix + "/keys", "Store another key"},
	"PROVIDER_QUOTA_EXCEEDED": {"The provider wants to be paid first; another provider's key may do meanwhile.", Prefix + "/keys", "See the keys"},
	"MODEL_UNKNOWN":           {"Name another model at “Options”, or none for the usual one.", "", ""},
	"CONTEXT_TOO_LONG":        {"Say it in fewer words, attach less, or begin a new conversation.", Prefix + "/chat", "New conversation"},
	"BUDGET_TOO_SMALL":        {"Let the message cost more, at “Options”.", "", ""},
	"ANSWER_CUT":              {"What came of the answer is kept. Ask again, or say “go on”.", "", ""},
	"ANSWER_TOO_LARGE":        {"Ask for less at once.", "", ""},
}
