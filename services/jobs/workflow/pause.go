package workflow

import (
	"time"

	"uaol/services"
)

// Pause is how long a Sleep step waits. One of the two is set.
type Pause struct {
	Duration, Until *Template
}

const maxPause = 365 * day

func (r *stepReader) sleep() {
	r.s.Sleep = &Pause{Duration: r.literalOr("duration", readPause), Until: r.literalOr("until", readTime)}
	if r.has("duration") == r.has("until") {
		r.p.fault(r.at, "must have a duration or until, and not both")
	}
}

// literalOr reads a text that is exactly one reference, or that check takes.
func (r *stepReader) literalOr(name string, check func(string) (string, bool)) *Template {
	if !r.has(name) {
		return nil
	}
	text, _ := r.members[name].(string)
	t := r.template(name, text, false)
	if t.isReference() {
		return t
	}
	if reason, ok := check(text); !ok {
		r.fault(name, "%s, or exactly one reference", reason)
	}
	return t
}

func readPause(text string) (reason string, ok bool) {
	d, err := parseDuration(text)
	return "must be a duration such as 90s, 36h or 2d, from 0s to 365d", err == nil && d >= 0 && d <= maxPause
}

func readTime(text string) (reason string, ok bool) {
	_, err := time.Parse(time.RFC3339, text)
	return "must be a time such as 2030-01-31T00:00:00Z", err == nil
}

// End is when a pause that began at from is over: a time that has passed is
// from. It is an Invalid error when a reference leads to something that is
// neither a duration nor a time, or the end is more than a year away.
func (p Pause) End(scope Scope, from time.Time) (time.Time, error) {
	t, check := p.Duration, readPause
	if t == nil {
		t, check = p.Until, readTime
	}
	text, err := t.Text(scope)
	if err != nil {
		return time.Time{}, err
	}
	if reason, ok := check(text); !ok {
		return time.Time{}, services.Errorf(services.Invalid, "the pause %.100q %s", text, reason)
	}
	end := from
	if p.Duration != nil {
		d, _ := parseDuration(text)
		end = from.Add(d)
	} else if until, _ := time.Parse(time.RFC3339, text); until.After(from) {
		end = until
	}
	if end.Sub(from) > maxPause {
		return time.Time{}, services.Errorf(services.Invalid, "the pause would end more than 365 days from now")
	}
	return end, nil
}
