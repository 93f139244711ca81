package jobs

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// turnsOf gives the places of those changes that pass a turn on, in the order of
// the turns: that is how they are locked.
func turnsOf(all []change) (places []int) {
	for i := range all {
		if all[i].Ends != "" && all[i].Turn != nil {
			places = append(places, i)
		}
	}
	slices.SortFunc(places, func(a, b int) int { return strings.Compare(*all[a].Turn, *all[b].Turn) })
	return places
}

// passOn gives a job's turn to the next that waits for it, if it has it. Jobs of
// the same key that are being made lock the same row, so that either this finds
// them or they find that nobody has the turn.
func passOn(ctx context.Context, tx pgx.Tx, turn string, job uuid.UUID) error {
	holder, err := postgres.Value[uuid.UUID](ctx, tx, `SELECT job_id FROM uaol_jobs.turns WHERE turn = $1 FOR UPDATE`, turn)
	if services.Is(err, services.NotFound) || err == nil && holder != job {
		return nil
	}
	if err != nil {
		return err
	}
	next, err := postgres.Value[uuid.UUID](ctx, tx, `
		UPDATE uaol_jobs.queue SET turn = NULL, wake_at = NULL WHERE job_id = (
			SELECT job_id FROM uaol_jobs.queue WHERE turn = $1 ORDER BY priority DESC, enqueued_at, job_id LIMIT 1 FOR UPDATE)
		RETURNING job_id`, turn)
	if services.Is(err, services.NotFound) {
		_, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.turns WHERE turn = $1`, turn)
		return err
	}
	if err == nil {
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_jobs.turns SET job_id = $2 WHERE turn = $1`, turn, next)
	}
	return err
}
