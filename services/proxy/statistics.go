package proxy

import (
	"context"
	"time"

	"uaol/providers/minutes"
	"uaol/providers/postgres"
	"uaol/services"
)

// Statistics is what was called in a span of time. A call is of the moment that it began,
// and counted when it is recorded: a moment later, or when its process has died and its
// hold ends, so that the past may still change.
type Statistics struct {
	From      services.Time `json:"from"`
	Calls     int64         `json:"calls" doc:"all of them"`
	Succeeded int64         `json:"succeeded"`
	Failed    int64         `json:"failed"`
	Refused   int64         `json:"refused" doc:"by us, before anything left"`
	Unknown   int64         `json:"unknown" doc:"nobody knows whether the tool acted"`
	Asked     int64         `json:"asked" doc:"the tool wanted something first; the same call again counts by itself"`
	Credits   int64         `json:"credits" doc:"charged here; a job's steps are charged by their job"`
	P50       *float64      `json:"p50Ms" doc:"milliseconds that half of the calls took at most, by the nearest rank and true to a tenth, between 0.1 and 600,000. Calls that were refused don't count, nor do those that nobody saw end; null where none is left"`
	P95       *float64      `json:"p95Ms" doc:"likewise, what 95 of a hundred took at most"`
}

// Statistics gives the buckets of a window, oldest first, also those in which nothing was
// called. What is shown is about nobody: every member sees the organisation's.
// Kinds as for minutes.Query.Window.
func (c *Calls) Statistics(ctx context.Context, caller services.Caller, q minutes.Query) ([]Statistics, error) {
	w, err := q.Window(caller, time.Now())
	if err != nil {
		return nil, err
	}
	rows, err := c.repository.counts(ctx, w)
	if err != nil {
		return nil, err
	}
	starts := w.Starts()
	all, took := make([]Statistics, len(starts)), make([][]tally, len(starts))
	for i, from := range starts {
		all[i].From = from
	}
	for _, row := range rows {
		at := w.Place(row.From)
		all[at].add(row)
		if row.Latency > 0 {
			took[at] = append(took[at], tally{row.Latency, row.Calls})
		}
	}
	for i := range all {
		all[i].P50, all[i].P95 = percentile(took[i], 0.5), percentile(took[i], 0.95)
	}
	return all, nil
}

func (s *Statistics) add(row count) {
	s.Calls += row.Calls
	s.Credits += row.Credits
	switch row.Outcome {
	case Succeeded:
		s.Succeeded += row.Calls
	case Failed:
		s.Failed += row.Calls
	case Refused:
		s.Refused += row.Calls
	case Unknown:
		s.Unknown += row.Calls
	case Asked:
		s.Asked += row.Calls
	}
}

// count is how many calls of a bucket ended alike after about the same time.
type count struct {
	From    time.Time `db:"bucket"`
	Outcome Outcome   `db:"outcome"`
	Latency int16     `db:"latency"`
	Calls   int64     `db:"calls"`
	Credits int64     `db:"credits"`
}

const countColumns = `minute - (extract(epoch FROM minute)::bigint % $3::bigint) * interval '1 second' AS bucket, outcome, latency,
	sum(calls)::bigint AS calls, sum(credits)::bigint AS credits`

// counts adds a window's rows up. Each scope has a statement and an index of its own.
func (r *Repository) counts(ctx context.Context, w minutes.Window) ([]count, error) {
	if w.All {
		return postgres.All[count](ctx, r.pool, `
			SELECT `+countColumns+` FROM uaol_proxy.call_minutes WHERE minute >= $1 AND minute < $2 GROUP BY 1, 2, 3`,
			w.From, w.To, w.Seconds())
	}
	return postgres.All[count](ctx, r.pool, `
		SELECT `+countColumns+` FROM uaol_proxy.call_minutes WHERE organization_id = $4 AND minute >= $1 AND minute < $2 GROUP BY 1, 2, 3`,
		w.From, w.To, w.Seconds(), w.Organization)
}

// forgetMinutes removes some counts that are older than they are kept, and tells how many.
func (r *Repository) forgetMinutes(ctx context.Context, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.call_minutes WHERE (organization_id, minute, shard, outcome, latency) IN (
			SELECT organization_id, minute, shard, outcome, latency FROM uaol_proxy.call_minutes
			WHERE minute < now() - $1 * interval '1 second' ORDER BY minute LIMIT $2)`, int64(minutes.Kept.Seconds()), limit)
}
