package console

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
