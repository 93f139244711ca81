package llm

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// said is what a provider says went wrong, out of any of these forms:
//
//	{"error":{"message":…,"type":…,"code":…}}                    OpenAI, and Anthropic where it speaks its protocol
//	[{"error":{"code":400,"message":…,"status":…,"details":[…]}}]  Gemini
//	{"type":"error","error":{"type":…,"message":…}}               Anthropic
//	{"error":"…"}, {"object":"error","message":…,"code":…}        Ollama, vLLM
type said struct {
	fault   bool // it says so
	message string
	kind    string // type or status
	code    string
	number  int // a code that is a number, mostly an HTTP status
	reason  string
	after   time.Duration
}

func read(body []byte) (s said) {
	body = bytes.TrimSpace(body)
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var outer map[string]json.RawMessage
	if json.Unmarshal(body, &outer) != nil {
		return s
	}
	inner, has := outer["error"]
	switch {
	case has && string(inner) != "null":
	case text(outer["object"]) == "error", text(outer["type"]) == "error":
		inner = body
	default:
		return s
	}
	s.fault = true
	if s.message = text(inner); s.message != "" {
		return s
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(inner, &fields) != nil {
		return s
	}
	s.message, s.kind = text(fields["message"]), text(fields["type"])
	if s.kind == "" {
		s.kind = text(fields["status"])
	}
	var code any
	_ = json.Unmarshal(fields["code"], &code)
	s.take(code)
	s.takeDetails(fields["details"])
	return s
}

func text(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s)
	return s
}

func (s *said) take(code any) {
	switch c := code.(type) {
	case string:
		s.code = c
		s.number, _ = strconv.Atoi(c)
	case float64:
		s.number = int(c)
	case int:
		s.number = c
	}
}

// takeDetails reads Google's, https://google.aip.dev/193.
func (s *said) takeDetails(raw json.RawMessage) {
	var details []struct {
		Reason string `json:"reason"`
		Delay  string `json:"retryDelay"`
	}
	_ = json.Unmarshal(raw, &details)
	for _, d := range details {
		if d.Reason != "" {
			s.reason = d.Reason
		}
		if delay, err := time.ParseDuration(d.Delay); err == nil && delay > 0 {
			s.after = delay
		}
	}
}

// status is the HTTP status that an error in a stream would have had; 0 when it
// can't be told.
func (s said) status() int {
	if s.number >= 400 && s.number < 600 {
		return s.number
	}
	return 0
}

var (
	tooLong = regexp.MustCompile(`(?i)context.?(length|window|size)|prompt is too long|input (token count|is too long)|too many (input )?tokens|reduce the length`)
	usedUp  = regexp.MustCompile(`(?i)credit balance is too low|exceeded your current quota, please check your plan|billing (hard )?limit`)
)

func (s said) quota() bool {
	// Gemini says the same of limits that end by themselves.
	return s.code == "insufficient_quota" || s.kind == "insufficient_quota" || s.code == "billing_hard_limit_reached" || s.kind == "billing_error" ||
		s.kind != "RESOURCE_EXHAUSTED" && usedUp.MatchString(s.message)
}

func (s said) keyRefused() bool {
	return s.code == "invalid_api_key" || s.kind == "authentication_error" || s.kind == "permission_error" ||
		s.reason == "API_KEY_INVALID" || strings.HasPrefix(s.message, "API key not valid") || strings.HasPrefix(s.message, "API key expired") ||
		s.kind == "UNAUTHENTICATED" || s.kind == "PERMISSION_DENIED"
}

func (s said) contextTooLong() bool {
	return s.code == "context_length_exceeded" || s.code == "string_above_max_length" || s.kind == "request_too_large" ||
		s.kind == "exceed_context_size_error" || tooLong.MatchString(s.message)
}

func (s said) unknownModel() bool {
	return s.code == "model_not_found" || s.kind == "not_found_error" || s.kind == "NOT_FOUND"
}

func (s said) limited() bool {
	return s.code == "rate_limit_exceeded" || s.kind == "rate_limit_error" || s.kind == "RESOURCE_EXHAUSTED"
}

func (s said) overloaded() bool { return s.kind == "overloaded_error" || s.kind == "UNAVAILABLE" }

// longestWords caps what is repeated of a provider's own words, in runes.
const longestWords = 300

// words are a provider's, fit to be shown: one line of limited length without
// anything that could be of a key, after a colon; "" when there are none.
func (w *wire) words(text string) string {
	fields := strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	})
	for i, field := range fields {
		if showsKey(field, string(w.in.Key)) {
			fields[i] = "[secret]"
		}
	}
	text = strings.Join(fields, " ")
	if text == "" {
		return ""
	}
	if runes := []rune(text); len(runes) > longestWords {
		text = string(runes[:longestWords]) + "…"
	}
	return ": " + text
}

// anyKey is what keys look like, and how providers show parts of them.
var anyKey = regexp.MustCompile(`(^|[^A-Za-z])sk-|AIza|\*\*\*`)

// window is how much of a key nobody may see.
const window = 6

// showsKey reports a word that holds a part of the key, or looks like any.
func showsKey(word, key string) bool {
	if anyKey.MatchString(word) {
		return true
	}
	if key != "" && len(key) < window {
		return strings.Trim(word, `"'.,;:()`) == key
	}
	for i := 0; i+window <= len(key); i++ {
		if strings.Contains(word, key[i:i+window]) {
			return true
		}
	}
	return false
}
