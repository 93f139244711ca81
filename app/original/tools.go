package original

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/billing"
	"uaol/services/registry"
)

func now() time.Time { return time.Now() }

// owner is whose a tool or a job is.
type owner struct{ account, organization uuid.UUID }

// owners finds those of users, by their ids in the source, who are here or, in a dry
// run, would be.
func (r *run) owners(ctx context.Context, users []string) (map[string]owner, error) {
	ids := make([]uuid.UUID, len(users))
	for i, text := range users {
		ids[i], _ = idOf("user", text)
	}
	known, err := r.Auth.KnownUsers(ctx, ids, nil, nil)
	if err != nil {
		return nil, err
	}
	asked := make([]billing.OriginalCredits, len(ids))
	for i, id := range ids {
		asked[i] = billing.OriginalCredits{User: id, Organization: homeOf(id, known)}
	}
	books, err := r.Billing.KnownCredits(ctx, asked)
	if err != nil {
		return nil, err
	}
	found := make(map[string]owner, len(ids))
	for i, id := range ids {
		if !ended(id, known, books) {
			found[users[i]] = owner{account: id, organization: homeOf(id, known)}
		}
	}
	return found, nil
}

// brought reports whether the user of a row may be here at all.
func brought(user *string, ofGuest *bool) bool { return user != nil && ofGuest != nil && !*ofGuest }

// tools brings tools.
func (r *run) tools(ctx context.Context) error {
	batch := newBatch(r.Batch, func(b []toolRow) error { return r.bringTools(ctx, b) })
	if err := r.source.tools(ctx, func(row toolRow) error { return batch.add(row, len(row.GatewayURL)) }); err != nil {
		return err
	}
	return batch.flush()
}

func (r *run) bringTools(ctx context.Context, rows []toolRow) error {
	var ids []uuid.UUID
	var users []string
	for _, row := range rows {
		id, _ := idOf("tool", row.ID)
		ids = append(ids, id)
		if brought(row.Developer, row.OfGuest) {
			users = append(users, *row.Developer)
		}
	}
	known, err := r.Registry.KnownTools(ctx, ids)
	if err != nil {
		return err
	}
	owners, err := r.owners(ctx, users)
	if err != nil {
		return err
	}
	for i, row := range rows {
		if err := r.bringTool(ctx, ids[i], row, owners, known[ids[i]]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) bringTool(ctx context.Context, id uuid.UUID, row toolRow, owners map[string]owner, here bool) error {
	r.report.Tools.Found++
	if _, kept := idOf("tool", row.ID); !kept {
		r.report.find(IDChanged, row.ID, "tool %s", id)
	}
	if here {
		r.report.Tools.Already++
		return nil
	}
	by, ok := owners[said(row.Developer)]
	if !ok {
		r.report.Tools.Left++
		r.report.find(ToolOwner, row.ID, "of %s", said(row.Developer))
		return nil
	}
	tool, err := registry.OriginalTool{
		ID: id, Organization: by.organization, Developer: by.account, Name: row.Name, GatewayURL: row.GatewayURL, Protocol: row.Protocol,
		Price: row.Price, Status: registry.Status(row.Status), Trusted: r.KeepApprovals, CreatedAt: moment(row.CreatedAt, now()),
	}.Checked(r.Policy)
	if err != nil {
		r.report.Tools.Left++
		r.report.find(ToolRefused, row.ID, "%.80s: %s", row.Name, why(err))
		return nil
	}
	if !r.DryRun {
		switch err := r.Registry.BringTool(ctx, tool); {
		case services.Is(err, services.Conflict): // another run has been faster
			r.report.Tools.Already++
			return nil
		case err != nil:
			return err
		}
	}
	r.report.Tools.Brought++
	if tool.Status == registry.Approved {
		code := ToolWaits
		if tool.Trusted {
			code = ToolUnpinned
		}
		r.report.find(code, row.ID, "%s", tool.Name)
	}
	return nil
}

// why is a refusal in one line: what is wrong with a value, where there is such.
func why(err error) string {
	var e *services.Error
	if errors.As(err, &e) {
		if faults, ok := e.Details.([]services.Fault); ok && len(faults) > 0 {
			return faults[0].Path + " " + faults[0].Message
		}
		return e.Message
	}
	return err.Error()
}
