package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"uaol/services"
)

// veiled stands where a tool repeated a secret that it was sent.
const veiled = "[secret]"

// shortestVeiled is the shortest secret that is looked for, in bytes: shorter
// ones stand in many texts by chance.
const shortestVeiled = 6

// forms are how a secret may stand in a text: as it is, and in JSON.
func (c Carried) forms() (forms []string) {
	for _, secret := range c.Secrets {
		if len(secret) < shortestVeiled {
			continue
		}
		forms = append(forms, secret)
		for _, escape := range []bool{true, false} {
			var text bytes.Buffer
			encoder := json.NewEncoder(&text)
			encoder.SetEscapeHTML(escape)
			if encoder.Encode(secret) == nil {
				if form := strings.Trim(strings.TrimSpace(text.String()), `"`); form != secret {
					forms = append(forms, form)
				}
			}
		}
	}
	return forms
}

// Veil takes what a call carried out of what the tool answered: tools repeat keys
// in their messages, and callers must not see those of others. What a tool has
// rewritten, such as encoded, is not recognised.
func (c Carried) Veil(answer []byte) (veil []byte, found bool) {
	for _, form := range c.forms() {
		if bytes.Contains(answer, []byte(form)) {
			answer, found = bytes.ReplaceAll(answer, []byte(form), []byte(veiled)), true
		}
	}
	return answer, found
}

// VeilError does the same to an error, and to its cause, which is logged.
func (c Carried) VeilError(err error) error {
	if err == nil || len(c.Secrets) == 0 {
		return err
	}
	text, found := c.Veil([]byte(err.Error()))
	if !found {
		return err
	}
	var known *services.Error
	if !errors.As(err, &known) {
		return errors.New(string(text))
	}
	message, _ := c.Veil([]byte(known.Message))
	with := *known
	with.Message = string(message)
	return with.Because(errors.New(string(text)))
}
