// Package cron says when the moments of a timetable are: a cron expression in a
// time zone. It knows no clock.
//
// What an expression says is a time on the wall. Where clocks are changed, some of
// these do not exist and some come twice:
//
//   - A time that does not exist, because the clock was put forward over it, is
//     the moment of the change. Several such are one.
//   - A time that comes twice, because the clock was put back, counts the first
//     time.
//   - But a timetable of every hour of the day follows the clock on the wall as it
//     goes: nothing in the hour that does not exist, and both of the hours that
//     are the same.
package cron

import (
	"strings"
	"time"
	_ "time/tzdata" // the zones, for machines that have none

	"github.com/netresearch/go-cron"

	"uaol/services"
)

// Timetable is an expression in a time zone. It never changes.
type Timetable struct {
	walls  *cron.SpecSchedule // as if there were no zones: in UTC
	zone   *time.Location
	hourly bool // of every hour of the day
}

// searched is how far the next moment may be: two leap days are eight years apart
// where a century has none.
const searched = 9 // years

// Of days of the month and of the week either counts when both are said, as in
// every crontab.
var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom).WithMaxSearchYears(searched)

const everyHour = 1<<24 - 1

// Parse reads five fields or one of @hourly, @daily, @weekly, @monthly and
// @yearly, and the IANA name of a time zone. Kind Invalid with all faults.
func Parse(expression, zone string) (*Timetable, error) {
	var faults []services.Fault
	fault := func(member, message string) {
		faults = append(faults, services.Fault{Path: "body." + member, Message: message})
	}
	t := &Timetable{}
	location, err := time.LoadLocation(zone)
	if t.zone = location; err != nil || zone == "" || zone == "Local" {
		fault("time_zone", "must be the IANA name of a time zone, such as Europe/Berlin")
	}
	if strings.ContainsAny(expression, "=") { // the zone is said beside it
		fault("cron", "must be five fields, such as 30 4 * * 1-5, or @hourly, @daily, @weekly, @monthly or @yearly")
		return nil, services.Faults(faults...)
	}
	parsed, err := parser.Parse(expression)
	walls, fields := parsed.(*cron.SpecSchedule)
	switch {
	case err != nil:
		fault("cron", "must be five fields, such as 30 4 * * 1-5, or @hourly, @daily, @weekly, @monthly or @yearly: "+err.Error())
	case !fields:
		fault("cron", "must be five fields: @every has no place on the clock")
	default:
		walls.Location = time.UTC
		t.walls, t.hourly = walls, walls.Hour&everyHour == everyHour
		if walls.Next(time.Unix(0, 0).UTC()).IsZero() {
			fault("cron", "never comes")
		}
	}
	if len(faults) > 0 {
		return nil, services.Faults(faults...)
	}
	return t, nil
}

// Next is the first moment after another one; the zero time when there is none
// within years.
func (t *Timetable) Next(after time.Time) time.Time {
	if t.hourly {
		return t.nextOnTheWall(after)
	}
	wall := onTheWall(after.In(t.zone))
	for {
		wall = t.walls.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if at := t.moment(wall); at.After(after) {
			return at
		}
	}
}

// nextOnTheWall goes through the stretches between changes of the clock, in each
// of which the clock goes as it does in UTC.
func (t *Timetable) nextOnTheWall(after time.Time) time.Time {
	for in := after.In(t.zone); ; {
		wall := onTheWall(in)
		next := t.walls.Next(wall)
		if next.IsZero() {
			return time.Time{}
		}
		at := in.Add(next.Sub(wall))
		_, end := in.ZoneBounds()
		if end.IsZero() || at.Before(end) {
			return at.UTC()
		}
		// From the moment of the change on, itself included: seconds before it are
		// looked up by the clock that has been changed.
		wall = onTheWall(end.In(t.zone))
		if next = t.walls.Next(wall.Add(-time.Second)); next.IsZero() {
			return time.Time{}
		}
		if at = end.Add(next.Sub(wall)); !at.Before(end) {
			if _, following := end.In(t.zone).ZoneBounds(); following.IsZero() || at.Before(following) {
				return at.UTC()
			}
		}
		in = end.In(t.zone)
	}
}

// onTheWall is what the clock shows at a moment, as if it were in UTC.
func onTheWall(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// moment is when a clock first shows a time, or is put forward over it.
func (t *Timetable) moment(wall time.Time) time.Time {
	// Far enough before and after that no change is nearer: offsets are less than
	// a day.
	const day = 24 * time.Hour
	for in := wall.Add(-day).In(t.zone); ; {
		_, offset := in.Zone()
		_, end := in.ZoneBounds()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || at.Before(end) {
			if at.Before(in) { // the clock was put forward over it at in
				return in.UTC()
			}
			return at.UTC()
		}
		in = end.In(t.zone)
	}
}

// Due lists the moments from first to last, both included, oldest first; of more
// than most the newest.
func (t *Timetable) Due(first, last time.Time, most int) []time.Time {
	// Looked for from the end, in stretches that double: a timetable that lay for
	// years is not read through.
	for stretch := time.Duration(most) * time.Minute; ; stretch *= 2 {
		from := last.Add(-stretch)
		all := from.Before(first)
		if all {
			from = first
		}
		var due []time.Time
		for at := t.Next(from.Add(-time.Nanosecond)); !at.IsZero() && !at.After(last); at = t.Next(at) {
			due = append(due, at)
		}
		if all || len(due) >= most {
			return due[max(0, len(due)-most):]
		}
	}
}
