package doctor

import (
	"context"
	"errors"
	"strings"

	"uaol/providers/config"
	"uaol/providers/secrets"
)

// secretsAreStrong judges the secrets of a deployment as production does.
func secretsAreStrong(_ context.Context, p *Patient) []Finding {
	process, ok := read[config.Process](p)
	if !ok {
		return nil
	}
	var found []Finding
	var made, set []string
	seen := map[string]string{}
	for _, variable := range []string{"JWT_SECRET", "ENCRYPTION_SECRET", "UAOL_SERVICE_SECRET", "UAOL_LEDGER_SECRET"} {
		value, given := p.Env.Lookup(variable)
		if !given {
			if variable == "JWT_SECRET" || variable == "ENCRYPTION_SECRET" {
				made = append(made, variable)
			}
			continue
		}
		set = append(set, variable)
		if other := seen[value]; other != "" {
			found = append(found, warned("give each a text of its own, for example from `openssl rand -base64 48`", "%s and %s are the same", other, variable))
		}
		seen[value] = variable
		var fault *config.Fault
		if err := secrets.Check(variable, value, true); errors.As(err, &fault) && !process.Production() { // there it is a bad setting
			found = append(found, warned("take another, for example from `openssl rand -base64 48`; production refuses it", "%s is weak: too short, too simple or publicly known", variable))
		}
	}
	switch {
	case len(found) > 0:
		return found
	case len(made) > 0 && process.Production():
		return nil // told as a setting
	case len(made) > 0:
		return []Finding{well("%s not set: made and kept in %s", strings.Join(made, " and "), process.DataDir)}
	}
	return []Finding{well("%s are long and random enough", strings.Join(set, ", "))}
}
