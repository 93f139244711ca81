package registry

import (
	"encoding/json"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/registry/imports"
)

// arrival is an entry on its way into the tables.
type arrival struct {
	entry      imports.Entry
	id         uuid.UUID
	slug       string
	status     Status
	version    int64 // that it becomes; 0 when only its texts change
	definition Definition
	tags       []string
}

// arrivals are what becomes of a batch of entries.
type arrivals struct {
	fresh, changed, gone []*arrival
	unchanged            int
	skipped              []imports.Skipped
	happened             []events.Event
}

// sort decides what becomes of each entry.
func (b *arrivals) sort(entries []imports.Entry, rows map[string]importedRow, judge func(imports.Entry, *Definition) (Definition, string)) error {
	seen := map[string]bool{}
	for _, e := range entries {
		row, before := rows[e.SourceName]
		a := &arrival{entry: e, id: row.ID, slug: row.Slug, status: row.Status, tags: properTags(e.Tags)}
		switch {
		case seen[e.SourceName] || e.Deleted && !before: // there is nothing to take back
			continue
		case before && (row.Imported == e.Digest() || row.Org == uuid.Nil): // or nobody's any more
			b.unchanged++
		case e.Deleted:
			b.gone = append(b.gone, a)
		default:
			var last *Definition
			if before {
				last = &Definition{}
				if err := json.Unmarshal([]byte(row.Definition), last); err != nil {
					return services.Errorf(services.Internal, "A version's definition can't be read").Because(err)
				}
			}
			var why string
			if a.definition, why = judge(e, last); why != "" {
				b.skipped = append(b.skipped, imports.Skipped{Name: e.SourceName, Reason: why})
				break
			}
			if !before {
				a.id, a.status, a.version = uuid.Must(uuid.NewV7()), Pending, 1
				b.fresh = append(b.fresh, a)
				break
			}
			if !same(*last, a.definition) {
				a.version = row.Latest + 1
				if row.InForce == nil && row.Status != Disabled {
					a.status = Pending
				}
			}
			b.changed = append(b.changed, a)
		}
		seen[e.SourceName] = true
	}
	return nil
}

// properTags keeps those tags that have a tag's form.
func properTags(given []string) []string {
	tags := []string{}
	for _, text := range given {
		if one, err := tagsOf([]string{text}); err == nil && len(tags) < maxTags {
			tags = append(tags, one...)
		}
	}
	return tags
}

// tell makes the events. Of new tools nobody can have known anything: one event
// tells of all. What is different of a tool that can be called has its own.
func (b *arrivals) tell(source string, caller services.Caller) {
	if len(b.fresh) > 0 {
		b.happened = append(b.happened, events.New("tool.imported", source, caller.Organization, map[string]any{"count": len(b.fresh)}))
	}
	for _, a := range b.changed {
		b.happened = append(b.happened, events.New("tool.updated", a.id.String(), caller.Organization, map[string]any{"version": a.version, "status": a.status}))
	}
	for _, a := range b.gone {
		b.happened = append(b.happened, events.New("tool.disabled", a.id.String(), caller.Organization, map[string]any{"status": Disabled}))
	}
}
