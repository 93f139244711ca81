package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// thousandsOf writes a whole number, or a text that is one, so that it can be read.
func thousandsOf(value any) string {
	switch n := value.(type) {
	case int:
		return thousands(int64(n))
	case int64:
		return thousands(n)
	case string:
		if parsed, err := strconv.ParseInt(n, 10, 64); err == nil {
			return thousands(parsed)
		}
		return n
	}
	return fmt.Sprint(value)
}

func thousands(n int64) string {
	if n < 0 {
		return "−" + thousands(-n)
	}
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func creditsText(value any) string {
	text := thousandsOf(value)
	if text == "1" {
		return "1 credit"
	}
	return text + " credits"
}

func plural(n any, one string) string {
	text := thousandsOf(n)
	if text == "1" {
		return "1 " + one
	}
	return text + " " + one + "s"
}

// tone is how a status looks; its word is always there too.
func tone(status any) string {
	switch strings.ToLower(fmt.Sprint(status)) {
	case "success", "approved", "ready", "ok", "read", "closed", "active", "healthy", "done", "delivered":
		return "good"
	case "failed", "rejected", "not ready", "error", "refused", "open", "dead":
		return "bad"
	case "running", "retrying", "reading", "attempted":
		return "busy"
	case "waiting", "unknown", "pending", "quarantined", "asked", "half-open", "changed":
		return "wait"
	}
	return "calm"
}

// indented writes JSON for people; what is none stays as it is.
func indented(value any) string {
	text, ok := value.(json.RawMessage)
	if !ok {
		made, err := json.Marshal(value)
		if err != nil {
			return fmt.Sprint(value)
		}
		text = made
	}
	if len(text) == 0 {
		return ""
	}
	var out bytes.Buffer
	if json.Indent(&out, text, "", "  ") != nil {
		return string(text)
	}
	return out.String()
}

func compacted(value json.RawMessage) string {
	var out bytes.Buffer
	if json.Compact(&out, value) != nil {
		return string(value)
	}
	return out.String()
}

// says reports whether there is a value.
func says(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

// textOf is what an optional text says.
func textOf(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

func durationText(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'g', 2, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// tookText is how long something took; "" before it has ended.
func tookText(begun, ended *time.Time) string {
	if begun == nil || ended == nil {
		return ""
	}
	return durationText(ended.Sub(*begun))
}

func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return plural(n, "byte")
	}
	value, names := float64(n)/unit, []string{"KB", "MB", "GB", "TB"}
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + names[0]
}

// shortened is the end of an id, by which people tell one from another: its beginning is
// its time, which neighbours share.
func shortened(id any) string {
	text := fmt.Sprint(id)
	if len(text) <= 8 {
		return text
	}
	return text[len(text)-8:]
}

// remarshal reads a value of another shape as what its JSON says.
func remarshal(value, into any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// sorted are the names of a map, in their order.
func sorted[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
