package console

import (
	"net/http"
	"net/url"
	"slices"

	"uaol/providers/api"
	"uaol/services"
)

// filled is a form as somebody has filled it in, that could not be carried out, and what
// is wrong with it. The zero one is a form that nobody has sent.
type filled struct {
	form    string // which of the page's
	Problem string
	faults  map[string]string
	values  url.Values
}

// In is this form if it is called so, else one that nobody has sent.
func (f filled) In(form string) filled {
	if f.form == form {
		return f
	}
	return filled{}
}

// Value is what a field held.
func (f filled) Value(name string) string { return f.values.Get(name) }

// Chose reports whether a value was among those chosen of a field.
func (f filled) Chose(name, value string) bool { return slices.Contains(f.values[name], value) }

// Fault is what is wrong with a field, by its path in the API's words.
func (f filled) Fault(path string) string { return f.faults[path] }

// refill shows the page that a form stands on once more, with what was written and what is
// wrong. What nobody could have written better is returned.
func (v *visit) refill(err error, at, form string, page func(*visit, filled) (view, error)) error {
	if api.StatusOf(err) >= http.StatusInternalServerError || isKind(err, services.Unauthenticated) {
		return err
	}
	v.standAt(at)
	shown, viewErr := page(v, filled{form: form, Problem: messageOf(err), faults: faultsOf(err), values: v.r.PostForm})
	if viewErr != nil {
		return viewErr
	}
	shown.Status = http.StatusUnprocessableEntity
	return v.render(shown)
}

// standAt makes a page that answers a form say that it is at another address, where it can
// be asked for.
func (v *visit) standAt(page string) {
	if u, err := url.Parse(page); err == nil {
		v.r = v.r.Clone(v.r.Context())
		v.r.URL = u
	}
}

// unfilled is a page none of whose forms was sent.
func unfilled(page func(*visit, filled) (view, error)) func(*visit) (view, error) {
	return func(v *visit) (view, error) { return page(v, filled{}) }
}
