package services

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"
)

// Time is a moment in the contract's form: RFC 3339, UTC, milliseconds.
type Time struct{ time.Time }

const timeForm = "2006-01-02T15:04:05.000Z"

// Now is this moment.
func Now() Time { return Time{time.Now()} }

// At makes a Time of a moment; nil stays nil, which the contract writes as null.
func At(t *time.Time) *Time {
	if t == nil {
		return nil
	}
	return &Time{*t}
}

// String is the moment in the contract's form.
func (t Time) String() string { return t.UTC().Format(timeForm) }

// MarshalJSON writes the contract's form.
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads any RFC 3339.
func (t *Time) UnmarshalJSON(text []byte) error { return t.Time.UnmarshalJSON(text) }

// Scan reads a database's timestamp.
func (t *Time) Scan(value any) error {
	moment, ok := value.(time.Time)
	if !ok {
		return fmt.Errorf("a timestamp was expected, not %T", value)
	}
	t.Time = moment
	return nil
}

// Value writes a database's timestamp.
func (t Time) Value() (driver.Value, error) { return t.Time, nil }
