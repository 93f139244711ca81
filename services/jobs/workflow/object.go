package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// object reads members of a JSON object. Null is the same as no member; what is
// there and wrong is a fault, and reads as if it were not there.
type object struct {
	p       *parser
	at      string
	members map[string]any
}

func (o object) has(name string) bool { return o.members[name] != nil }

func (o object) path(name string) string { return o.at + "." + name }

func (o object) fault(name, format string, args ...any) {
	o.p.fault(o.path(name), format, args...)
}

// text reads a text that is not empty.
func (o object) text(name string) (string, bool) {
	text, _ := o.members[name].(string)
	if text == "" && o.has(name) {
		o.fault(name, "must be a text that is not empty")
	}
	return text, text != ""
}

func (o object) object(name string) (map[string]any, bool) {
	object, ok := o.members[name].(map[string]any)
	if !ok && o.has(name) {
		o.fault(name, "must be an object, and is %s", kindOf(o.members[name]))
	}
	return object, ok
}

// kindOf says what a decoded value is.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

func (o object) id(name, what string) uuid.UUID {
	text, _ := o.members[name].(string)
	id, err := uuid.Parse(text)
	if err != nil {
		o.fault(name, "must be %s", what)
	}
	return id
}

// whole reads a whole number.
func (o object) whole(name string, otherwise, least, most int64) int64 {
	if !o.has(name) {
		return otherwise
	}
	number, _ := o.members[name].(json.Number)
	if n, err := strconv.ParseInt(string(number), 10, 64); err == nil && n >= least && n <= most {
		return n
	}
	if most == math.MaxInt64 {
		o.fault(name, "must be a whole number from %d", least)
	} else {
		o.fault(name, "must be a whole number from %d to %d", least, most)
	}
	return otherwise
}

func (o object) number(name string, otherwise, least, most float64) float64 {
	if !o.has(name) {
		return otherwise
	}
	number, _ := o.members[name].(json.Number)
	if n, err := strconv.ParseFloat(string(number), 64); err == nil && n >= least && n <= most {
		return n
	}
	o.fault(name, "must be a number from %v to %v", least, most)
	return otherwise
}

func (o object) duration(name string, otherwise, least, most time.Duration) time.Duration {
	if !o.has(name) {
		return otherwise
	}
	text, _ := o.members[name].(string)
	if d, err := parseDuration(text); err == nil && d >= least && d <= most {
		return d
	}
	o.fault(name, "must be a duration such as 90s, 36h or 2d, from %s to %s", durationText(least), durationText(most))
	return otherwise
}

// parseDuration reads Go's durations, and whole days.
func parseDuration(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16) // 2^16 days are more than any limit, and no overflow
	return time.Duration(n) * day, err
}

// durationText writes a whole number of the largest unit that allows one.
func durationText(d time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if d%unit.of == 0 {
			return fmt.Sprintf("%d%s", d/unit.of, unit.name)
		}
	}
	return d.String()
}
